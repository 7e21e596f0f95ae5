//! Promise 6: `/policy` cannot be written, hidden, remounted or shadowed, `/mem/episodic` cannot be rewritten, and
//! otherwise files behave as POSIX has it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tests::{Daemon, Launch, hostile, probe, stderr, stdout, succeeded};

/// Errnos that are a refusal of an append-only file.
const REFUSED: &[&str] = &["EPERM", "ENODEV", "EOPNOTSUPP", "ENOTTY"];
/// What programs of FUSE never have: the control is that the same program has all the others.
const NOWHERE: &[&str] = &["collapse_range", "insert_range", "clone", "clear_flags", "temporary_file"];

/// The probe's report: each way and how it ended.
fn report(output: &Output) -> BTreeMap<String, String> {
    assert!(output.status.success(), "{}{}", stdout(output), stderr(output));
    let lines = stdout(output);
    let words = lines.lines().filter_map(|line| line.split_once(' '));
    words.map(|(way, ended)| (way.to_owned(), ended.to_owned())).collect()
}

/// Runs a behaviour of the probe inside, on a new directory of a part.
fn inside(daemon: &Daemon, name: &str, behaviour: &str, directory: &str) -> BTreeMap<String, String> {
    let (launch, _) = hostile(daemon, "pids: 64");
    let script = format!("mkdir -p {directory} && exec {} {behaviour} {directory}", probe());
    report(&daemon.run_inside(&launch.name(name), &["sh", "-c", &script]))
}

/// The files of a name on disk, as only root can look.
fn remembered(daemon: &Daemon, name: &str, part: &str) -> PathBuf {
    daemon.place().join("state/memory").join(name).join("files").join(part)
}

#[test]
fn what_was_remembered_is_not_rewritten_in_any_way() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let name = daemon.unique("rewrite");
    let control = inside(&daemon, &name, "rewrite", "/mem/semantic/tried");
    let seen = inside(&daemon, &name, "rewrite", "/mem/episodic/tried");
    assert_eq!(control.keys().collect::<Vec<_>>(), seen.keys().collect::<Vec<_>>());
    for (way, ended) in &seen {
        assert!(REFUSED.contains(&ended.as_str()), "{way}: {ended}");
        if !NOWHERE.contains(&way.as_str()) {
            assert_eq!(control.get(way).map(String::as_str), Some("done"), "{way}: the control");
        }
        let file = remembered(&daemon, &name, "episodic/tried").join(way);
        assert_eq!(
            fs::read_to_string(&file).unwrap_or_else(|error| format!("{}: {error}", file.display())),
            "remembered\nand again\n",
            "{way}"
        );
    }
}

#[test]
fn files_behave_as_posix_has_it() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let name = daemon.unique("posix");
    for part in ["/mem/working", "/mem/semantic", "/state"] {
        let seen = inside(&daemon, &name, "posix", &format!("{part}/tried"));
        assert!(seen.len() > 20, "{part}: {seen:?}");
        let failed: Vec<_> = seen.iter().filter(|(_, ended)| *ended != "done").collect();
        assert!(failed.is_empty(), "{part}: {failed:?}");
    }
}

#[test]
fn the_policy_stands_where_it_stands() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let probe = probe();
    let (launch, _) = hostile(&daemon, "pids: 64");
    let name = daemon.unique("shadow");
    let script =
        format!("cat /policy/digest; {probe} shadow /policy && {probe} rename-away /policy; cat /policy/digest");
    let output = daemon.run_inside(&launch.name(&name), &["sh", "-c", &script]);
    let text = stdout(&output);
    let (first, last) = (text.lines().next(), text.lines().next_back());
    assert!(first.is_some() && first == last, "the digest is as before: {text}{}", stderr(&output));
    let seen: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let control = shadow_outside(&probe);
    for (way, ended) in &control {
        assert_eq!(ended, "done", "{way}: the control");
        assert!(
            seen.get(way.as_str()).is_some_and(|ended| ended.starts_with('E')),
            "{way}: {:?}",
            seen.get(way.as_str())
        );
    }
    assert!(control.len() > 20, "{control:?}");
}

/// The same as root on a directory of the test's own, in a mount namespace that ends with it.
fn shadow_outside(probe: &str) -> BTreeMap<String, String> {
    let scratch = tempfile::tempdir().expect("a directory");
    let directory = scratch.path().join("policy");
    let script = format!(
        "mount -t tmpfs scratch {scratch} && mkdir {directory} && mount -t tmpfs policy {directory} &&
         echo x > {directory}/rules.yaml && echo x > {directory}/digest && {probe} shadow {directory};
         while mountpoint -q {directory}; do umount -l {directory}; done; {probe} rename-away {directory}",
        scratch = scratch.path().display(),
        directory = directory.display(),
    );
    let output =
        Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().expect("unshare can be started");
    report(&output)
}

#[test]
fn nothing_that_an_agent_wrote_runs() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let name = daemon.unique("exec");
    for part in ["/mem/working", "/mem/episodic", "/mem/semantic", "/state", "/ipc", "/policy"] {
        let script = format!(
            "cp /bin/true {part}/program 2>/dev/null && chmod 755 {part}/program 2>/dev/null; {part}/program; echo $?"
        );
        let output = daemon.run_inside(&Launch::new("base").name(&name), &["sh", "-c", &script]);
        assert!(["126\n", "127\n"].contains(&stdout(&output).as_str()), "{part}: {}", stdout(&output));
    }
    assert!(Path::new("/bin/true").exists(), "control: what was copied runs elsewhere");
}

/// Takes a write lease on a new file in the present directory; prints the errno, 0 for none.
const LEASE: &str = "import fcntl
f = open('leased', 'w')
try: fcntl.fcntl(f, 1024, fcntl.F_WRLCK); print(0)
except OSError as error: print(error.errno)
fcntl.fcntl(f, fcntl.F_SETFD, fcntl.FD_CLOEXEC)";

#[test]
fn nobody_waits_for_a_lease_of_an_agents() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let name = daemon.unique("lease");
    let launch = Launch::new("base").name(&name);
    for place in ["/mem/semantic", "/mem/working", "/state"] {
        let script = format!("cd {place} && exec python3 -c \"$0\"");
        let output = daemon.run_inside(&launch, &["/bin/sh", "-c", &script, LEASE]);
        assert_eq!(stdout(&output), "1\n", "EPERM in {place}: {}", stderr(&output));
    }
    let outside = tempfile::tempdir().expect("a directory");
    let mut python = Command::new("python3");
    let output = succeeded(python.args(["-c", LEASE]).current_dir(outside.path()).output().expect("python3"));
    assert_eq!(stdout(&output), "0\n", "the control");
}
