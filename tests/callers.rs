//! Promise 1, at its entrance: an agent is never shown more of the host than its caller could open.
//!
//! The callers are a user without an account, in the group of the control socket. What they hand over is decided by the
//! permissions that they have, also while they change what a path means between one look and the next.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests::{Daemon, GROUP, GROUP_LINE, Launch, USER, as_user, stderr, stdout, succeeded};

/// A group that the caller is not running in.
const OTHER_GROUP: u32 = 65_531;
/// How often the race is run.
const ROUNDS: usize = 60;
const SECRET: &str = "for root's eyes only";

/// A daemon that also answers to `GROUP`.
struct Host {
    daemon: Daemon,
}

impl Host {
    fn start() -> Self {
        Self::configured("")
    }

    fn configured(lines: &str) -> Self {
        Self { daemon: Daemon::configured(&format!("{GROUP_LINE}{lines}")) }
    }

    /// A directory of `owner` with one file in it.
    fn directory(&self, owner: u32, mode: u32, text: &str) -> PathBuf {
        let path = self.daemon.workspace();
        fs::write(path.join("file"), text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod of our own directory");
        let group = if owner == USER { GROUP } else { owner };
        for entry in [path.clone(), path.join("file")] {
            chown(entry, Some(owner), Some(group)).expect("chown of our own directory");
        }
        path
    }

    /// `agentctl run` as the user without an account.
    fn run(&self, workspace: &Path, script: &str) -> Output {
        let words = Launch::new("coding-agent").workspace(workspace).option("--rm").words(&["/bin/sh", "-c", script]);
        self.agentctl(&words)
    }

    /// agentctl as the user without an account.
    fn agentctl<S: AsRef<OsStr>>(&self, words: &[S]) -> Output {
        let mut command = as_user(&self.daemon, "agentctl");
        command.arg("--socket").arg(self.daemon.socket()).args(words);
        command.output().expect("setpriv(1) of util-linux is installed")
    }
}

#[test]
fn a_directory_that_the_caller_cannot_open_is_not_shown() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    let own = host.directory(USER, 0o700, "mine");
    let output = host.run(&own, "cat file; echo changed > file");
    assert_eq!(stdout(&output), "mine", "the control: {}", stderr(&output));
    assert_eq!(fs::read_to_string(own.join("file")).expect("the file"), "changed\n");

    let secret = host.directory(0, 0o700, SECRET);
    let below = secret.join("below");
    fs::create_dir(&below).expect("a directory");
    fs::write(below.join("file"), SECRET).expect("a file");
    fs::set_permissions(&below, fs::Permissions::from_mode(0o777)).expect("chmod of our own directory");
    for refused in [&secret, &below, &PathBuf::from("/root"), &host.daemon.place().join("no-such-directory")] {
        let output = host.run(refused, "cat file; ls -A .");
        let said = format!("{}: {}{}", refused.display(), stdout(&output), stderr(&output));
        assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
        assert!(stderr(&output).contains(&*refused.to_string_lossy()), "the refusal names the directory: {said}");
    }
}

#[test]
fn what_the_caller_may_only_read_the_agent_may_only_read() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    let theirs = host.directory(0, 0o755, "readable");
    let output = host.run(&theirs, "cat file; echo x > file; echo x > new; rm -f file; chmod 777 .; ls -A");
    assert!(stdout(&output).starts_with("readable"), "{}{}", stdout(&output), stderr(&output));
    let names: Vec<_> = fs::read_dir(&theirs).expect("the directory").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["file"], "{}", stderr(&output));
    assert_eq!(fs::read_to_string(theirs.join("file")).expect("the file"), "readable");
    assert_eq!(fs::metadata(&theirs).expect("the directory").mode() & 0o7777, 0o755);
}

#[test]
fn files_of_the_callers_other_groups_can_be_worked_on() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    let own = host.directory(USER, 0o2775, "mine");
    for path in [own.clone(), own.join("file")] {
        chown(path, None, Some(OTHER_GROUP)).expect("chgrp of our own directory");
    }
    fs::set_permissions(&own, fs::Permissions::from_mode(0o2775)).expect("chown has cleared the set-group bit");
    let output = host.run(&own, "echo changed > file && echo x > new && chgrp 0 new; stat -c %g file new");
    for name in ["file", "new"] {
        let data = fs::metadata(own.join(name)).unwrap_or_else(|error| panic!("{name}: {error}: {}", stderr(&output)));
        assert_eq!((data.uid(), data.gid()), (USER, OTHER_GROUP), "{name} {}", stderr(&output));
    }
    assert_eq!(fs::read_to_string(own.join("file")).expect("the file"), "changed\n", "{}", stderr(&output));
}

#[test]
fn a_file_of_roots_in_the_callers_directory_stays_roots() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    let own = host.directory(USER, 0o755, "mine");
    let private = own.join("private");
    fs::write(&private, SECRET).expect("a file");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).expect("chmod of our own file");
    let output = host.run(&own, "cat file private; chmod 666 private; echo x > private");
    assert_eq!(stdout(&output), "mine", "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&private).expect("the file"), SECRET);
    assert_eq!(fs::metadata(&private).expect("the file").uid(), 0);
}

#[test]
fn a_path_that_changes_its_meaning_meanwhile_shows_nothing_more() {
    if !tests::is_root() {
        return;
    }
    let host = Host::start();
    let (own, secret) = (host.directory(USER, 0o755, "mine"), host.directory(0, 0o700, SECRET));
    let link = host.daemon.place().join("work/link");
    symlink(&own, &link).expect("a link");
    let mut shown = 0;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| flip(&link, [&own, &secret], &stop));
        for _ in 0..ROUNDS {
            let output = host.run(&link, "cat file; ls -A");
            let said = format!("{}{}", stdout(&output), stderr(&output));
            assert_or_stop(!said.contains(SECRET), &stop, &said);
            match stdout(&output).as_str() {
                "" => assert_or_stop(!output.status.success(), &stop, &said),
                text => {
                    assert_or_stop(text == "minefile\n", &stop, &said);
                    shown += 1;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{shown} of {ROUNDS} rounds showed the caller's own directory, the others were refused");
    assert!(shown > 0, "the race was never lost by the attacker, so nothing was tried");
    assert_eq!(fs::read_to_string(secret.join("file")).expect("the file"), SECRET);
}

#[test]
fn one_user_cannot_take_every_place() {
    if !tests::is_root() {
        return;
    }
    let host = Host::configured("max_agents: 4\nmax_agents_per_user: 2\n");
    let start =
        |name: &str| host.agentctl(&Launch::new("base").name(name).option("--detach").words(&["/bin/sleep", "1000"]));
    for name in ["first", "second"] {
        drop(succeeded(start(name)));
    }
    let refused = start("third");
    let said = stderr(&refused);
    assert!(!refused.status.success(), "a third was started");
    assert!(said.contains("uid 65533") && said.contains('2') && said.contains("max_agents_per_user"), "{said}");
    // The others' places are free, and the user's own are again when an agent has ended.
    let roots = host.daemon.spawn(&Launch::new("base"), &["sleep", "1000"]);
    assert_eq!(roots.state(), "running");
    drop(succeeded(host.agentctl(&["kill", "first"])));
    tests::wait_until("the place of the ended agent", Duration::from_secs(10), || start("third").status.success());
    assert!(!start("fourth").status.success(), "a place was given twice");
}

/// Fails the test without leaving the other thread running.
fn assert_or_stop(holds: bool, stop: &AtomicBool, said: &str) {
    if !holds {
        stop.store(true, Ordering::Relaxed);
        panic!("{said}");
    }
}

/// Points `link` at one and then the other, atomically, until told to stop.
fn flip(link: &Path, ends: [&Path; 2], stop: &AtomicBool) {
    let new = link.with_extension("new");
    for end in ends.into_iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        symlink(end, &new).expect("a link");
        fs::rename(&new, link).expect("a link over another");
    }
}
