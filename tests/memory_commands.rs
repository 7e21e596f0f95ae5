//! What agents remember belongs to their names, and to whoever started them: it is looked at, saved, restored and removed
//! without any agent, by nobody else.

#[path = "memory_commands/host.rs"]
mod host;

use host::{Host, REMEMBER, fed, refused};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tests::{Daemon, GROUP_LINE, Launch, USER, as_user, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(20);
#[test]
fn what_a_name_remembers_is_read_without_an_agent() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    host.remember("scout");
    assert_eq!(stdout(&host.memory(&["cat", "scout", "/mem/episodic/log"])), "what happened\nand again\n");
    assert_eq!(stdout(&host.memory(&["cat", "scout", "mem/semantic/notes/deep/again"])), "one\ntwo\n");
    assert_eq!(succeeded(host.memory(&["cat", "scout", "/state/checkpoint/data"])).stdout, vec![0; 300_000]);

    let listed = stdout(&succeeded(host.memory(&["ls", "scout", "/mem/semantic"])));
    assert!(listed.contains(" \\u{1b}[2Jname\n") && !listed.contains('\x1b'), "{listed}");
    let links = stdout(&succeeded(host.memory(&["ls", "scout", "/mem/semantic/notes"])));
    assert!(links.contains(" link -> ../../../etc/passwd\n") && links.contains("-rw"), "{links}");
    let json = succeeded(host.memory(&["ls", "--json", "scout", "/state/checkpoint"]));
    let files: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((&files[0]["name"], &files[0]["size"], &files[0]["mode"]), (&"data".into(), &300_000.into(), &0.into()));
    assert_eq!((&files[1]["name"], &files[1]["kind"]), (&"fifo".into(), &"fifo".into()));
    let top = stdout(&succeeded(host.memory(&["ls", "scout", "/mem"])));
    assert!(!top.contains("working") && top.contains("procedural"), "{top}");

    let memory = &host.list()[0];
    assert_eq!((&memory["name"], &memory["owner"], &memory["running"]), (&"scout".into(), &0.into(), &false.into()));
    let held = |part: &str| {
        let parts = memory["held"].as_array().expect("the parts");
        let part = parts.iter().find(|held| held["part"] == part).expect("the part");
        (part["bytes"].as_u64().expect("bytes"), part["inodes"].as_u64().expect("inodes"))
    };
    assert_eq!(held("state").1, 3, "{memory}");
    assert!(held("state").0 > 300_000 && held("state").0 < 400_000 && held("procedural") == (0, 0), "{memory}");
    let table = stdout(&succeeded(host.memory(&["ls"])));
    assert!(table.starts_with("NAME") && table.contains("scout"), "{table}");

    refused(&host.memory(&["cat", "scout", "/mem/semantic/notes/link"]), 2, &["symbolic link", "not followed"]);
    refused(&host.memory(&["cat", "scout", "/mem/semantic/notes"]), 2, &["is a directory"]);
    refused(&host.memory(&["cat", "scout", "/mem/semantic/notes/link/x"]), 1, &["cannot read"]);
    refused(&host.memory(&["cat", "scout", "/state/../../x"]), 2, &["upwards"]);
    refused(&host.memory(&["ls", "nobody"]), 3, &["\"nobody\"", "scout"]);
    refused(&host.memory(&["ls", "scout", "/nope"]), 1, &["cannot read /nope: "]);

    // Without a path: the parts that are kept, and nothing of what is not.
    let parts = stdout(&succeeded(host.memory(&["ls", "scout"])));
    let names: Vec<_> = parts.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["PART", "/mem/episodic", "/mem/semantic", "/mem/procedural", "/state"], "{parts}");
    let json = succeeded(host.memory(&["ls", "--json", "scout"]));
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).expect("JSON"), memory["held"]);
}

#[test]
fn an_export_imports_bit_for_bit() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    host.remember("scout");
    let archive = host.export("scout");
    let listing = Command::new("tar").arg("-tf").arg(host.file(&archive)).output().expect("tar(1)");
    let listing = stdout(&succeeded(listing));
    assert!(listing.contains("mem/semantic/notes/deep/again\n") && !listing.contains("working"), "{listing}");

    let said = stdout(&succeeded(host.import("twin", &archive, &[])));
    assert!(said.starts_with("twin: 10 files and directories restored, 293.0 KiB"), "{said}");
    assert!(host.export("twin") == archive, "another archive comes out");
    assert!(host.export("scout") == archive, "and the first is as it was");

    drop(succeeded(host.memory(&["rm", "--yes", "scout"])));
    assert_eq!(host.names(), ["twin"]);
    let path = host.file(&archive);
    let output = succeeded(host.memory(&["import", "--json", "-i", &path.to_string_lossy(), "scout"]));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&told["name"], &told["entries"], &told["kept"]), (&"scout".into(), &10.into(), &0.into()), "{told}");
    let directory = host.daemon.place().to_string_lossy().into_owned();
    refused(&host.memory(&["export", "-o", &directory, "scout"]), 2, &[&directory, "is a directory", "scout.tar"]);
    let output = host.daemon.place().join("again.tar");
    drop(succeeded(host.memory(&["export", "-o", &output.to_string_lossy(), "scout"])));
    assert!(fs::read(&output).expect("an archive") == archive);
    let inside = host.daemon.run_inside(
        &Launch::new("base").name("scout"),
        &[
            "/bin/sh",
            "-c",
            "cat /mem/episodic/log /mem/semantic/notes/list; chmod 600 /state/checkpoint/data; : > /mem/episodic/log",
        ],
    );
    assert_eq!(stdout(&inside), "what happened\nand again\none\ntwo\n", "{}", stderr(&inside));
    assert!(!inside.status.success(), "what was restored to episodic is append-only again");
}

#[test]
fn a_living_agents_memory_is_looked_at_and_left_alone() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    let script = format!("{REMEMBER} touch /state/ready; sleep 1000");
    let agent = host.daemon.spawn(&Launch::new("base").name("scout"), &["/bin/sh", "-c", &script]);
    wait_until("the agent to remember", SOON, || host.memory(&["cat", "scout", "/state/ready"]).status.success());
    assert_eq!(stdout(&host.memory(&["cat", "scout", "/mem/working/task"])), "task\n");
    let archive = host.export("scout");
    let with_working = succeeded(host.memory(&["export", "--working", "scout"])).stdout;
    let has = |archive: &[u8], name: &[u8]| archive.windows(name.len()).any(|bytes| bytes == name);
    assert!(has(&with_working, b"mem/working/task") && !has(&archive, b"mem/working/task"));
    assert!(has(&archive, b"mem/episodic/log"));
    let memory = &host.list()[0];
    assert_eq!((&memory["running"], &memory["used_us"]), (&true.into(), &Value::Null));
    assert!(memory["held"].as_array().is_some_and(|parts| parts.len() == 5), "{memory}");

    let remedy = "agentctl kill scout";
    refused(&host.memory(&["rm", "--yes", "scout"]), 4, &["running", remedy]);
    refused(&host.import("scout", &archive, &["--replace"]), 4, &["running", remedy]);
    assert_eq!(agent.state(), "running");
    drop(succeeded(host.daemon.agentctl(&["kill", "-9", "scout"])));
    drop(succeeded(host.daemon.agentctl(&["rm", "--force", "scout"])));

    let output = succeeded(host.import("scout", &with_working, &["--replace"]));
    assert!(stderr(&output).contains("/mem/working were left out"), "{}", stderr(&output));
    assert!(host.export("scout") == archive);
    drop(succeeded(host.memory(&["rm", "--yes", "scout"])));
    refused(&host.memory(&["rm", "--yes", "scout"]), 3, &["\"scout\""]);
}

#[test]
fn a_bad_archive_changes_nothing() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    host.remember("scout");
    let archive = host.export("scout");
    refused(&host.import("scout", &archive, &[]), 2, &["--merge", "--replace"]);

    let work = host.daemon.workspace();
    fs::create_dir_all(work.join("state")).expect("a directory");
    fs::write(work.join("state/new"), "new").expect("a file");
    let tar = |words: &[&str]| {
        let output = Command::new("tar").arg("-C").arg(&work).args(words).output().expect("tar(1)");
        succeeded(output).stdout
    };
    let upwards = tar(&["-cPf", "-", "--transform=s,state/new,state/../../../../tmp/evil,", "state/new"]);
    let good = tar(&["-cf", "-", "state"]);
    let mut cut = good.clone();
    cut.truncate(1024);
    let device = {
        drop(Command::new("mknod").arg(work.join("null")).args(["c", "1", "3"]).output());
        tar(&["-cf", "-", "--transform=s,null,state/null,", "null"])
    };
    for (what, bad, word) in [
        ("upwards", &upwards, "upwards"),
        ("cut off", &cut, "ends early"),
        ("a device", &device, "device node"),
        ("no archive", &vec![b'x'; 2000], "no tar archive"),
    ] {
        for option in ["--replace", "--merge"] {
            refused(&host.import("scout", bad, &[option]), 1, &["nothing was imported", word]);
        }
        assert!(host.export("scout") == archive, "{what}: something changed");
    }

    drop(succeeded(host.import("scout", &good, &["--merge"])));
    assert_eq!(stdout(&host.memory(&["cat", "scout", "/state/new"])), "new");
    assert_eq!(stdout(&host.memory(&["cat", "scout", "/mem/episodic/log"])), "what happened\nand again\n");
    drop(succeeded(host.import("scout", &good, &["--replace"])));
    assert_eq!(stdout(&host.memory(&["cat", "scout", "/state/new"])), "new");
    refused(&host.memory(&["cat", "scout", "/mem/episodic/log"]), 1, &["cannot read /mem/episodic/log"]);
}

#[test]
fn a_user_restores_no_more_than_the_default_policy_has_room_for() {
    if !tests::is_root() {
        return;
    }
    let policies = tempfile::tempdir().expect("a directory");
    let small = "extends: [base]\nmemory: {state: 1MiB}\n";
    fs::write(policies.path().join("small.yaml"), small).expect("a policy");
    let lines = format!("{GROUP_LINE}policy_dirs: [{}]\ndefault_policy: small\n", policies.path().display());
    let host = Host { daemon: Daemon::configured(&lines) };
    let work = host.daemon.workspace();
    fs::create_dir(work.join("state")).expect("a directory");
    fs::write(work.join("state/large"), vec![1; 2 << 20]).expect("a file");
    let tar = Command::new("tar").arg("-C").arg(&work).args(["-cf", "-", "state"]).output().expect("tar(1)");
    let path = host.file(&tar.stdout);
    let path = path.to_string_lossy();
    let output = host.memory_of_user(&["import", "-i", &path, "large"]);
    refused(&output, 1, &["nothing was imported", "state/large", "No space left"]);
    assert_eq!(host.names(), [""; 0]);
    drop(succeeded(host.memory(&["import", "-i", &path, "large"])));
    assert_eq!(host.names(), ["large"], "root may");
}

#[test]
fn an_import_that_is_killed_leaves_everything_as_it_was() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    host.remember("scout");
    let archive = host.export("scout");
    let mut importing = host
        .daemon
        .command(&["memory", "import", "--replace", "scout"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("agentctl can be started");
    let mut input = importing.stdin.take().expect("its input");
    input.write_all(&archive[..archive.len() / 2]).expect("written");
    let unfinished = || {
        let entries = fs::read_dir(host.daemon.place().join("state/memory")).expect("the stores").flatten();
        // Stores that nobody uses yet stand there, too.
        let filled = |path: &Path| path.join("files/episodic/log").exists();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with('.') && filled(&entry.path())).count()
    };
    wait_until("the import to begin", SOON, || unfinished() == 1);

    // Nobody else has the name meanwhile.
    let started = host.daemon.run_inside(&Launch::new("base").name("scout"), &["/bin/true"]);
    refused(&started, 125, &["agentctl memory import"]);
    importing.kill().and_then(|()| importing.wait()).expect("our own child");
    drop(input);
    wait_until("what was begun to go away", SOON, || unfinished() == 0);
    assert!(host.export("scout") == archive);
    drop(succeeded(host.daemon.run_inside(&Launch::new("base").name("scout"), &["/bin/true"])));
}

#[test]
fn a_memory_is_nobody_elses() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    host.remember("roots");
    let words = Launch::new("base").name("users").option("--rm").words(&["/bin/sh", "-c", "echo mine > /state/x"]);
    let mut command = as_user(&host.daemon, "agentctl");
    drop(succeeded(command.arg("--socket").arg(host.daemon.socket()).args(words).output().expect("setpriv(1)")));
    assert_eq!(host.names(), ["roots", "users"]);

    // The user's own: everything works, and files are shown as the user's.
    assert_eq!(stdout(&host.memory_of_user(&["cat", "users", "/state/x"])), "mine\n");
    let archive = succeeded(host.memory_of_user(&["export", "users"])).stdout;
    let listed = stdout(&succeeded(host.memory_of_user(&["ls"])));
    assert!(listed.contains("users") && !listed.contains("roots"), "{listed}");

    // Root's is not there for the user, and cannot be taken.
    for words in
        [&["ls", "roots"][..], &["cat", "roots", "/mem/episodic/log"], &["export", "roots"], &["rm", "--yes", "roots"]]
    {
        let output = host.memory_of_user(words);
        refused(&output, 3, &["\"roots\"", "there is users"]);
        assert!(output.stdout.is_empty(), "{}", stdout(&output));
    }
    let path = host.file(&archive);
    let path = path.to_string_lossy();
    refused(&host.memory_of_user(&["import", "-i", &path, "--replace", "roots"]), 7, &["another user"]);
    refused(&host.memory_of_user(&["import", "-i", &path, "--owner", "0", "new"]), 7, &["another user"]);
    assert_eq!(stdout(&host.memory(&["cat", "roots", "/mem/episodic/log"])), "what happened\nand again\n");

    // The user restores what is the user's; root does for the user, whose it stays.
    drop(succeeded(host.memory_of_user(&["import", "-i", &path, "copy"])));
    assert!(succeeded(host.memory_of_user(&["export", "copy"])).stdout == archive);
    drop(succeeded(host.memory(&["import", "-i", &path, "--replace", "users"])));
    let gift = succeeded(host.memory(&["import", "-i", &path, "--owner", &USER.to_string(), "gift"]));
    assert!(stderr(&gift).contains("no user with the uid"), "{}", stderr(&gift));
    refused(&host.memory(&["import", "-i", &path, "--owner", "no-such-user", "other"]), 2, &["\"no-such-user\""]);
    drop(succeeded(host.memory(&["import", "-i", &path, "--owner", "root", "other"])));
    drop(succeeded(host.memory(&["rm", "--yes", "other"])));
    for name in ["users", "copy", "gift"] {
        assert_eq!(stdout(&host.memory_of_user(&["cat", name, "/state/x"])), "mine\n", "{name}");
        drop(succeeded(host.memory_of_user(&["rm", "--yes", name])));
    }
    assert_eq!(host.names(), ["roots"]);

    // Who did it is in the event log, which tells others nothing.
    let events =
        |output: std::process::Output| stdout(&succeeded(output)).lines().map(str::to_owned).collect::<Vec<_>>();
    let told = events(host.daemon.agentctl(&["events"]));
    let says = |what: &str, who: &str| told.iter().any(|line| line.contains(what) && line.contains(who));
    assert!(says("users  what it remembers was imported", "(by uid 0,"), "{told:?}");
    assert!(says("gift  what it remembered was removed", &format!("(by uid {USER},")), "{told:?}");
    host.remember("secret");
    drop(succeeded(host.memory(&["rm", "--yes", "secret"])));
    let mut command = as_user(&host.daemon, "agentctl");
    let seen = events(command.arg("--socket").arg(host.daemon.socket()).arg("events").output().expect("setpriv(1)"));
    assert!(seen.iter().any(|line| line.contains("copy")) && !seen.iter().any(|line| line.contains("secret")));
}

#[test]
fn nothing_goes_to_a_terminal_or_away_without_being_asked() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    host.remember("scout");
    refused(&host.memory(&["rm", "scout"]), 2, &["--yes"]);
    refused(&host.memory(&["rm", "unknown"]), 3, &["\"unknown\"", "scout"]);
    assert_eq!(host.names(), ["scout"]);
    let on_terminal = |words: &str, typed: &str| {
        let line = format!(
            "{} --socket {} memory {words}",
            tests::binary("agentctl").display(),
            host.daemon.socket().display()
        );
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        fed(command, typed.as_bytes())
    };
    let refused = on_terminal("export scout", "");
    assert!(!refused.status.success() && stdout(&refused).contains("nothing for a terminal"), "{}", stdout(&refused));
    let shown = on_terminal("cat scout '/mem/semantic/\x1b[2Jname'", "");
    assert!(stdout(&shown).contains("\\u{1b}[2J") && !stdout(&shown).contains('\x1b'), "{:?}", stdout(&shown));
    assert!(on_terminal("rm scout", "n\n").status.success());
    assert_eq!(host.names(), ["scout"]);
    assert!(on_terminal("rm scout", "y\n").status.success());
    assert_eq!(host.names(), [""; 0]);
}

#[test]
fn a_tree_is_gone_with_its_connection() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    host.remember("scout");
    let mut export = host
        .daemon
        .command(&["memory", "export", "scout"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("agentctl can be started");
    // It fills the pipe, and waits for us.
    let mut first = [0; 512];
    export.stdout.as_mut().expect("its output").read_exact(&mut first).expect("the first block");
    let served = |host: &Host| {
        // Each mount that the server serves is a descriptor of the device.
        let entries = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
            let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
            let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
            (comm.trim() == "agentos-vfs" && line.contains(&*host.daemon.place().to_string_lossy())).then_some(entry)
        });
        let links = entries.flat_map(|entry| fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten());
        links.filter(|link| fs::read_link(link.path()).is_ok_and(|target| target == Path::new("/dev/fuse"))).count()
    };
    // That of the agent may be about to go.
    wait_until("one mount to be served", SOON, || served(&host) == 1);
    export.kill().and_then(|()| export.wait()).expect("our own child");
    wait_until("the mount to go away", SOON, || served(&host) == 0);
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert!(!mounts.contains(&*host.daemon.place().to_string_lossy()), "a view was attached to a path");
}
