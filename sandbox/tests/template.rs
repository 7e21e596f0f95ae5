//! Promise: what is made before a plan is known saves time and changes nothing. Needs root.

mod stage;

use sandbox::message::Order;
use sandbox::plan::{Caller, Mount, Plan, Rule, Template};
use stage::{Stage, shell, tempdir};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What the plans of these tests begin with, and a tmpfs that is smaller than theirs.
fn template() -> Template {
    let Plan { mut view, rules, .. } = shell("");
    for mount in &mut view {
        if let Mount::Tmpfs { size, executable, .. } = mount {
            (*size, *executable) = (1 << 20, true);
        }
    }
    Template { view, rules }
}

fn bind(path: &Path) -> Mount {
    Mount::Bind { path: path.to_owned(), executable: false, optional: true }
}

fn read(path: &Path) -> Rule {
    Rule { path: path.to_owned(), read: true, write: false, execute: false }
}

/// A template and a plan that show a directory of the test's too.
fn showing(directory: &Path, script: &str) -> (Template, Plan) {
    let (mut template, mut plan) = (template(), shell(script));
    for (view, rules) in [(&mut template.view, &mut template.rules), (&mut plan.view, &mut plan.rules)] {
        view.push(bind(directory));
        rules.push(read(directory));
    }
    (template, plan)
}

/// A tmpfs of the host, unmounted at the end.
struct Mounted(PathBuf);

impl Mounted {
    fn on(path: &Path) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "test"]).arg(path).status().unwrap();
        assert!(mounted.success());
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

/// PID 1's root is a mount of its own, whose number changes when it is made anew.
fn root_of(stage: &Stage) -> String {
    let table = mounts_of(stage);
    let root = table.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    root.split(' ').next().unwrap().to_owned()
}

fn mounts_of(stage: &Stage) -> String {
    std::fs::read_to_string(format!("/proc/{}/mountinfo", stage.init)).unwrap()
}

/// Runs on a stage and says whether it built on the template.
fn run(stage: &mut Stage, plan: Plan) -> (String, bool) {
    let before = root_of(stage);
    // The root stays until the agent has ended, so it is asked from inside.
    let (out, status) = stage.run(plan).unwrap();
    assert_eq!(status, 0, "{out}");
    let after = out.lines().find_map(|line| line.strip_prefix("root ")).expect("the script says its root");
    (out.clone(), after == before)
}

const SAY_ROOT: &str =
    r#"while read -r id _ _ _ point _; do if [ "$point" = / ]; then echo "root $id"; fi; done < /proc/self/mountinfo"#;

#[test]
fn an_agent_on_a_template_sees_what_it_would_see_without() {
    let script = format!(
        "cut -d' ' -f4-6,9- /proc/self/mountinfo | grep -v devpts | sed 's/,uid=.*//' | sort; stat -c '%n %u %g %a' / /* /tmp /etc/shadow; \
         df -k /tmp | tail -1; cat /etc/shadow 2>&1; cp /usr/bin/true /tmp/t; /tmp/t 2>&1 || true; {SAY_ROOT}"
    );
    let (plain, _) = run(&mut Stage::start("template-none"), shell(&script));
    let (built, taken) = run(&mut Stage::furnished("template-same", template()), shell(&script));
    assert!(taken, "it was built on the template: {built}");
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("root ")).map(str::to_owned).collect()
    };
    assert_eq!(lines(&plain), lines(&built));
    assert!(built.contains("16384") && built.contains("/tmp/t: Permission denied"), "{built}");
}

#[test]
fn a_plan_with_less_or_other_things_gets_only_those() {
    for change in [
        (|plan: &mut Plan| plan.view.retain(|mount| mount.path() != Path::new("/etc/shadow"))) as fn(&mut Plan),
        |plan| plan.view.insert(0, Mount::Tmpfs { path: "/etc".into(), size: 4096, executable: false, mode: 0o755 }),
        |plan| plan.view.push(Mount::Tmpfs { path: "/usr".into(), size: 4096, executable: false, mode: 0o755 }),
    ] {
        let mut plan = shell("exit 0");
        change(&mut plan);
        let mut stage = Stage::furnished("template-less", template());
        let before = root_of(&stage);
        // With an empty /usr there is no shell to start; what matters is that it was not the template's.
        let result = stage.run(plan.clone());
        let plain = Stage::start("template-plain").run(plan);
        assert_eq!(result.is_ok(), plain.is_ok(), "{result:?} {plain:?} {before}");
    }
    let mut plan = shell(&format!("cat /etc/shadow 2>&1; {SAY_ROOT}"));
    plan.view.retain(|mount| mount.path() != Path::new("/etc/shadow"));
    let (out, taken) = run(&mut Stage::furnished("template-fewer", template()), plan);
    assert!(!taken && out.contains("No such file"), "{out}");
}

#[test]
fn small_files_of_the_plan_are_there_beside_and_instead_of_the_templates() {
    let file = |path: &str| Mount::File { path: path.into(), contents: format!("this is {path}\n") };
    let script = format!("cat /etc/greeting /tmp/greeting /etc/shadow 2>&1; {SAY_ROOT}");
    let mut plan = shell(&script);
    plan.view.insert(0, file("/etc/greeting"));
    plan.view.push(file("/tmp/greeting"));
    plan.rules.push(read(Path::new("/etc/greeting")));
    let (out, taken) = run(&mut Stage::furnished("template-files", template()), plan.clone());
    assert!(taken && out.contains("this is /etc/greeting") && out.contains("this is /tmp/greeting"), "{out}");
    assert!(out.contains("/etc/shadow: Permission denied"), "{out}");
    plan.view.retain(|mount| mount.path() != Path::new("/etc/shadow"));
    plan.view.insert(0, file("/etc/shadow"));
    plan.rules.push(read(Path::new("/etc/shadow")));
    let (out, taken) = run(&mut Stage::furnished("template-instead", template()), plan);
    assert!(!taken && out.contains("this is /etc/greeting") && out.contains("this is /etc/shadow"), "{out}");
}

#[test]
fn a_rule_of_the_template_gives_no_right_that_the_plan_does_not_give() {
    let mut plan = shell(&format!("echo x 2>&1 > /tmp/x || echo refused; {SAY_ROOT}"));
    for rule in plan.rules.iter_mut().filter(|rule| rule.path == Path::new("/tmp")) {
        rule.write = false;
    }
    let (out, taken) = run(&mut Stage::furnished("template-rule", template()), plan);
    assert!(taken && out.contains("refused"), "{out}");
    let control = shell(&format!("echo x > /tmp/x && echo written; {SAY_ROOT}"));
    let (out, taken) = run(&mut Stage::furnished("template-control", template()), control);
    assert!(taken && out.contains("written"), "{out}");
    let mut more = template();
    more.rules.push(Rule { path: "/etc".into(), read: true, write: true, execute: true });
    let plan = shell(&format!("cat /etc/shadow 2>&1; {SAY_ROOT}"));
    let (out, _) = run(&mut Stage::furnished("template-more", more), plan);
    assert!(out.contains("Permission denied"), "{out}");
}

#[test]
fn a_file_that_was_replaced_meanwhile_is_shown_as_it_is_now() {
    let directory = tempdir("replaced");
    let file = directory.join("settings");
    std::fs::write(&file, "old").unwrap();
    let (template, plan) = showing(&file, &format!("cat {}; echo; {SAY_ROOT}", file.display()));
    let mut stage = Stage::furnished("template-file", template.clone());
    let (out, taken) = run(&mut stage, plan.clone());
    assert!(taken && out.starts_with("old\n"), "control: {out}");
    drop(stage);
    let mut stage = Stage::furnished("template-file", template);
    std::fs::write(directory.join("new"), "new").unwrap();
    std::fs::rename(directory.join("new"), &file).unwrap();
    let (out, taken) = run(&mut stage, plan);
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(!taken && out.starts_with("new\n"), "{out}");
}

#[test]
fn a_renewed_spare_shows_what_the_host_has_mounted_and_lets_go_what_it_has_unmounted() {
    let directory = tempdir("mounted");
    let inner = directory.join("inner");
    std::fs::create_dir(&inner).unwrap();
    let (template, plan) = showing(&directory, &format!("ls {}; {SAY_ROOT}", inner.display()));
    let mut stage = Stage::furnished("template-mount", template.clone());
    let mounted = Mounted::on(&inner);
    std::fs::write(inner.join("here"), "").unwrap();
    stage.order(&Order::Renew, &[]);
    let (out, _) = run(&mut stage, plan);
    assert!(out.starts_with("here\n"), "{out}");
    drop(stage);
    let stage = Stage::furnished("template-unmount", template);
    let holds = || mounts_of(&stage).contains(inner.to_str().unwrap());
    assert!(holds(), "control: {}", mounts_of(&stage));
    drop(mounted);
    stage.order(&Order::Renew, &[]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while holds() {
        assert!(Instant::now() < deadline, "a spare keeps what the host has unmounted busy");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(stage);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn what_the_host_changes_within_a_shown_directory_meets_the_policy_as_it_is() {
    let directory = tempdir("within");
    let (secret, tool) = (directory.join("secret"), directory.join("tool"));
    std::fs::copy("/bin/true", &tool).unwrap();
    let script = format!(
        "cat {0} 2>&1; {1} 2>&1 && echo new runs; {1}.old 2>&1 || echo old is refused; {SAY_ROOT}",
        secret.display(),
        tool.display()
    );
    let (mut template, mut plan) = showing(&directory, &script);
    for (view, rules) in [(&mut template.view, &mut template.rules), (&mut plan.view, &mut plan.rules)] {
        view.push(Mount::Decoy { path: secret.clone(), directory: false });
        if let Some(Mount::Bind { executable, .. }) = view.iter_mut().find(|mount| mount.path() == directory) {
            *executable = true;
        }
        rules.push(Rule { path: tool.clone(), read: true, write: false, execute: true });
    }
    let mut stage = Stage::furnished("template-within", template);
    std::fs::write(&secret, "TOPSECRET").unwrap();
    std::fs::rename(&tool, directory.join("tool.old")).unwrap();
    std::fs::copy("/bin/true", &tool).unwrap();
    let (out, taken) = run(&mut stage, plan);
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(taken && !out.contains("TOPSECRET") && out.contains("secret: Permission denied"), "{out}");
    assert!(out.contains("new runs") && out.contains("old is refused"), "{out}");
}

#[test]
fn a_caller_is_shown_nothing_that_only_root_can_open() {
    let directory = tempdir("roots");
    std::os::unix::fs::chown(&directory, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let (template, mut plan) = showing(&directory, &format!("ls -d {}; {SAY_ROOT}", directory.display()));
    let (out, taken) = run(&mut Stage::furnished("template-root", template.clone()), plan.clone());
    assert!(taken && out.starts_with(directory.to_str().unwrap()), "control: {out}");
    plan.caller = Caller { uid: 12345, gid: 12345, groups: Vec::new() };
    let failure = Stage::furnished("template-caller", template).run(plan).unwrap_err().to_string();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(failure.starts_with(&format!("cannot open {}: Permission denied", directory.display())), "{failure}");
}

#[test]
fn a_template_that_cannot_be_opened_is_left_out() {
    let mut wrong = template();
    wrong.view.push(Mount::Bind { path: "/no/such/path".into(), executable: false, optional: false });
    let (out, taken) = run(&mut Stage::furnished("template-wrong", wrong), shell(&format!("echo ran; {SAY_ROOT}")));
    assert!(taken && out.starts_with("ran\n"), "the root was empty and is still the first: {out}");
}
