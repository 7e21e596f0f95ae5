//! A stage by itself: a plan goes in, a confined process comes out, and nothing is left. Needs root.

mod stage;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandbox::cgroup::{Cancel, CgroupError};
use sandbox::message::{Failure, Order, Report};
use sandbox::plan::{Mount, Rule, Window};
use stage::{Stage, plan, shell, tempdir, text};
use std::fs::File;
use std::os::fd::OwnedFd;

#[test]
fn a_confined_process_has_no_power_and_its_own_identity() {
    let mut stage = Stage::start("identity");
    let script = "id -u; hostname; cat /proc/self/status; echo $$; ls /; cat /etc/shadow; echo x > /usr/x; echo y > /tmp/y && cat /tmp/y";
    let (out, status) = stage.run(shell(script)).unwrap();
    assert_eq!(status, 0, "{out}");
    assert!(out.starts_with("1999000001\ntested\n"), "{out}");
    for line in
        ["CapBnd:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Groups:\t "]
    {
        assert!(out.contains(line), "{line} is missing in {out}");
    }
    assert!(out.contains("cat: /etc/shadow: Permission denied"), "{out}");
    assert!(out.contains("Read-only file system"), "{out}");
    assert!(out.contains("\ny\n"), "{out}");
}

#[test]
fn socket_buffers_have_a_bound_of_their_own_on_version_1() {
    let mut stage = Stage::start("sockets");
    drop(stage.run(shell("true")).unwrap());
    let files = stage.cgroup.version1().into_iter().map(|group| group.join("memory.kmem.tcp.limit_in_bytes"));
    for file in files.filter(|file| file.exists()) {
        assert_eq!(std::fs::read_to_string(file).unwrap().trim(), "67108864", "of a limit of 512 MiB");
    }
}

#[test]
fn an_exit_status_and_a_signal_come_back() {
    assert_eq!(Stage::start("status-7").run(shell("exit 7")).unwrap().1, 7 << 8);
    assert_eq!(Stage::start("status-segv").run(shell("kill -SEGV $$")).unwrap().1, libc_sigsegv());
}

fn libc_sigsegv() -> i32 {
    11
}

#[test]
fn a_missing_program_is_said_to_be_missing() {
    let failure = Stage::start("missing").run(plan(&["/usr/bin/no-such-program"])).unwrap_err();
    assert_eq!(failure, Failure::Exec { errno: 2 });
    let failure = Stage::start("not-executable").run(plan(&["/usr/share"])).unwrap_err();
    assert_eq!(failure, Failure::Exec { errno: 13 });
}

#[test]
fn a_step_that_fails_is_named_and_nothing_runs() {
    let mut broken = shell("echo it ran");
    broken.view.push(Mount::Bind { path: "/no/such/path".into(), executable: false, optional: false });
    let sentence = Stage::start("broken").run(broken).unwrap_err().to_string();
    assert!(sentence.starts_with("cannot open /no/such/path: No such file or directory"), "{sentence}");
}

#[test]
fn a_workspace_keeps_its_owner_and_its_sealed_paths() {
    let directory = tempdir("workspace");
    std::fs::create_dir_all(directory.join(".git/hooks")).unwrap();
    std::os::unix::fs::chown(&directory, Some(1234), Some(1234)).unwrap();
    for inner in [".git", ".git/hooks"] {
        std::os::unix::fs::chown(directory.join(inner), Some(1234), Some(1234)).unwrap();
    }
    let mut plan = shell("id -u > made; touch .git/config; touch .git/hooks/x; mv .git moved; stat -c %u made; pwd");
    plan.view.push(Mount::Workspace {
        path: directory.clone(),
        read_only: false,
        directory_only: false,
        executable: true,
        owner: None,
        optional: false,
        sealed: vec![directory.join(".git/hooks")],
    });
    plan.rules.push(Rule { path: directory.clone(), read: true, write: true, execute: true });
    plan.process.cwd.clone_from(&directory);
    let (out, status) = Stage::start("workspace").run(plan).unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(directory.join("made")).unwrap());
    let config = directory.join(".git/config").exists();
    let moved = directory.join("moved").exists();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!((status, owner, config, moved), (0, 1234, true, false), "{out}");
    assert!(out.contains("touch: cannot touch '.git/hooks/x': Read-only file system"), "{out}");
    assert!(out.contains("mv: cannot move '.git'") || out.contains("busy"), "{out}");
    assert!(out.contains("1999000001\n"), "inside, the file is the agent's: {out}");
}

#[test]
fn what_must_be_a_directory_to_be_written_is_read_only_as_a_file() {
    let directory = tempdir("directory-only");
    std::fs::write(directory.join("pointer"), "kept").unwrap();
    std::fs::create_dir(directory.join("folder")).unwrap();
    let mut plan =
        shell("echo x > pointer; rm pointer; mv pointer moved; echo made > folder/new; cat pointer folder/new");
    for (path, directory_only) in [("", false), ("folder", true), ("pointer", true)] {
        plan.view.push(Mount::Workspace {
            path: directory.join(path),
            read_only: false,
            directory_only,
            executable: true,
            owner: None,
            optional: false,
            sealed: vec![],
        });
    }
    plan.rules.push(Rule { path: directory.clone(), read: true, write: true, execute: true });
    plan.process.cwd.clone_from(&directory);
    let (out, status) = Stage::start("directory-only").run(plan).unwrap();
    let kept = std::fs::read_to_string(directory.join("pointer")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!((status, kept.as_str()), (0, "kept"), "{out}");
    assert!(out.contains("Read-only file system") && out.ends_with("keptmade\n"), "{out}");
}

#[test]
fn what_is_not_granted_in_a_workspace_is_masked() {
    let directory = tempdir("mask");
    std::fs::write(directory.join(".env"), "secret").unwrap();
    std::fs::create_dir(directory.join("keys")).unwrap();
    std::fs::write(directory.join("keys/a"), "secret").unwrap();
    let mut plan =
        shell("cat .env; ls keys; cat keys/a; mv .env x; rm -rf keys; cat absent; echo new > absent; ls -a /");
    let none = |name: &str, is_directory| Mount::Decoy { path: directory.join(name), directory: is_directory };
    plan.view.push(Mount::Workspace {
        path: directory.clone(),
        read_only: false,
        directory_only: false,
        executable: true,
        owner: None,
        optional: false,
        sealed: vec![],
    });
    plan.view.extend([none(".env", false), none("keys", true), none("absent", false)]);
    plan.rules.push(Rule { path: directory.clone(), read: true, write: true, execute: true });
    plan.process.cwd.clone_from(&directory);
    let (out, _) = Stage::start("mask").run(plan).unwrap();
    let kept = std::fs::read_to_string(directory.join(".env")).unwrap()
        + &std::fs::read_to_string(directory.join("keys/a")).unwrap();
    let made = std::fs::read_to_string(directory.join("absent")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!((kept.as_str(), made.as_str()), ("secretsecret", "new\n"), "{out}");
    assert!(!out.contains("secret") && !out.contains(".mask"), "{out}");
    assert!(out.contains("cat: .env: Permission denied") && out.contains("keys': Permission denied"), "{out}");
}

#[test]
fn a_rule_does_not_follow_a_link_out_of_a_workspace() {
    let directory = tempdir("link");
    std::os::unix::fs::symlink("/", directory.join("way-out")).unwrap();
    let mut plan = shell("cat /etc/shadow; echo made > /tmp/x && echo control");
    plan.view.push(Mount::Workspace {
        path: directory.clone(),
        read_only: false,
        directory_only: false,
        executable: true,
        owner: None,
        optional: false,
        sealed: vec![],
    });
    for path in [directory.clone(), directory.join("way-out")] {
        plan.rules.push(Rule { path, read: true, write: true, execute: true });
    }
    let (out, _) = Stage::start("link").run(plan).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(out.contains("cat: /etc/shadow: Permission denied"), "{out}");
    assert!(out.contains("control"), "{out}");
}

#[test]
fn a_terminal_is_its_own() {
    let mut plan = shell("tty; stty size; echo done");
    plan.process.terminal = Some(Window { rows: 33, cols: 101 });
    let (out, status) = Stage::start("terminal").run(plan).unwrap();
    assert_eq!((status, out.as_str()), (0, "/dev/pts/0\r\n33 101\r\ndone\r\n"));
}

#[test]
fn a_terminal_that_nobody_has_open_for_a_while_is_still_heard_later() {
    for (slot, name) in [("reopened-tty", "/dev/tty"), ("reopened-pts", "/dev/pts/0")] {
        let close = "exec 0<&- 1>&- 2>&-; sleep 0.5";
        let mut plan =
            shell(&format!("echo one; {close}; echo two > {name}; {close}; exec > {name}; echo three; exit 3"));
        plan.process.terminal = Some(Window { rows: 24, cols: 80 });
        let (out, status) = Stage::start(slot).run(plan).unwrap();
        assert_eq!((status, out.as_str()), (3 << 8, "one\r\ntwo\r\nthree\r\n"), "{name}");
    }
}

#[test]
fn output_past_the_limit_is_reported_and_no_longer_read() {
    let mut stage = Stage::start("flood");
    let log = OwnedFd::from(File::create("/dev/null").unwrap());
    let mut plan = plan(&["yes"]);
    plan.output_limit = Some(100_000);
    stage.order(&Order::Launch { plan: Box::new(plan) }, &[&log]);
    assert!(matches!(stage.report().0, Report::Started { process: 0 }));
    assert!(matches!(stage.report().0, Report::OutputSpent));
    stage.cgroup.kill().unwrap();
    assert!(matches!(stage.report().0, Report::Ended { status: 9, output } if output < 400_000));
}

#[test]
fn output_in_tiny_pieces_takes_no_more_than_twice_the_limit_on_disk() {
    let mut stage = Stage::start("dribble");
    let directory = tempdir("dribble");
    let log = OwnedFd::from(File::create(directory.join("log")).unwrap());
    // The pause lets the stage read each byte by itself.
    let mut plan = shell("while :; do printf x; sleep 0.001; done");
    plan.output_limit = Some(2000);
    stage.order(&Order::Launch { plan: Box::new(plan) }, &[&log]);
    assert!(matches!(stage.report().0, Report::Started { process: 0 }));
    assert!(matches!(stage.report().0, Report::OutputSpent));
    stage.cgroup.kill().unwrap();
    let (report, _) = stage.report();
    let bytes = std::fs::read(directory.join("log")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let written = text(&bytes).len();
    assert!(bytes.len() > 10 * written, "control: {written} bytes came in pieces, {} on disk", bytes.len());
    assert!(bytes.len() <= 2 * 2000 + 64, "{} bytes on disk for a limit of 2000", bytes.len());
    assert!(
        matches!(report, Report::Ended { output, .. } if output == written as u64),
        "{report:?}, {written} written"
    );
}

#[test]
fn a_stop_that_was_cancelled_changes_nothing() {
    let stage = Stage::start("cancelled");
    let frozen = || std::fs::read_to_string(stage.cgroup.unified().join("cgroup.freeze")).unwrap();
    let cancel = Cancel::default();
    stage.cgroup.stop(0, &cancel).unwrap();
    assert_eq!(frozen(), "1\n", "control");
    stage.cgroup.cont(0).unwrap();
    cancel.cancel();
    assert!(matches!(stage.cgroup.stop(0, &cancel), Err(CgroupError::Cancelled)));
    assert_eq!(frozen(), "0\n");
}

#[test]
fn nothing_survives_the_daemon() {
    let mut stage = Stage::start("orphan");
    let log = OwnedFd::from(File::create("/dev/null").unwrap());
    stage.order(&Order::Launch { plan: Box::new(shell("setsid sleep 1000 & trap '' TERM HUP; sleep 1000")) }, &[&log]);
    assert!(matches!(stage.report().0, Report::Started { process: 0 }));
    assert!(stage.cgroup.populated().unwrap());
    let (unconnected, _) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    stage.socket = unconnected;
    stage.child.wait().unwrap();
    assert!(!stage.cgroup.populated().unwrap());
}
