//! Promise 10 for an agent's files: when their server dies or one mount alone ends, the agent gets errors and not hangs,
//! goes on or is stopped as its policy says, and has all that it had.

use rustix::mount::{UnmountFlags, unmount};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tests::{Agent, Daemon, Launch, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(10);

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("SIGKILL of our own server");
}

/// Ends one mount as `umount -f` does: the kernel answers everything with an error from now on.
fn end(mount: &Path) {
    unmount(mount, UnmountFlags::FORCE | UnmountFlags::DETACH).expect("a mount of our own daemon");
}

/// Which file system stands there.
fn device(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::dev(&fs::metadata(path).expect("an agent's tree"))
}

/// Counts in working memory, and says when it could not.
const COUNTING: &str =
    "i=0; while :; do i=$((i+1)); { echo $i > /mem/working/n; } 2> /dev/null || echo failed; sleep 0.01; done";

fn count(tree: &Path) -> Option<u64> {
    fs::read_to_string(tree.join("mem/working/n")).ok()?.trim().parse().ok()
}

fn counting<'d>(daemon: &'d Daemon, name: &str, policy: &Path) -> Agent<'d> {
    let agent = daemon.spawn(&Launch::new(policy).name(name), &["/bin/sh", "-c", COUNTING]);
    wait_until("the agent to count", SOON, || count(&daemon.tree(name)).is_some_and(|count| count > 3));
    agent
}

fn events(daemon: &Daemon, name: &str) -> String {
    stdout(&succeeded(daemon.agentctl(&["events", name])))
}

#[test]
fn an_agent_goes_on_when_its_server_dies_and_has_all_that_it_had() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agent = counting(&daemon, "going", Path::new("base"));
    succeeded(agent.exec(&["/bin/sh", "-c", "echo kept > /mem/working/kept; echo kept > /mem/semantic/kept"]));
    for round in 1..=3 {
        let before = daemon.vfs();
        kill(before);
        wait_until("new mounts", SOON, || events(&daemon, "going").matches("mounted anew").count() == round);
        assert_ne!(daemon.vfs(), before);
        let seen = count(&daemon.tree("going"));
        wait_until("the agent to count on", SOON, || count(&daemon.tree("going")) > seen);
        let kept = succeeded(agent.exec(&["/bin/cat", "/mem/working/kept", "/mem/semantic/kept", "/policy/digest"]));
        assert!(stdout(&kept).starts_with("kept\nkept\nsha256:"), "{}", stdout(&kept));
        let written = agent.exec(&["/bin/sh", "-c", "echo x > /policy/x"]);
        assert!(stderr(&written).contains("Read-only file system"), "{}", stderr(&written));
    }
    assert_eq!(agent.state(), "running");
    assert_eq!(daemon.mounts(), 1, "the dead mounts are gone");
    drop(agent);
    wait_until("the mount to go with the agent", SOON, || daemon.mounts() == 0);
}

#[test]
fn an_agent_is_stopped_for_review_where_its_policy_says_so() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = daemon.policy("extends: [base]\nmemory: {on_vfs_loss: stop}\n");
    let agent = counting(&daemon, "halting", &policy);
    kill(daemon.vfs());
    wait_until("the agent to be stopped", SOON, || agent.state() == "stopped");
    wait_until("new mounts", SOON, || events(&daemon, "halting").contains("mounted anew"));
    assert!(events(&daemon, "halting").contains("stopped for review"));
    let why = agent.inspect()["agent"]["review"].as_str().expect("a reason").to_owned();
    assert!(why.contains("agentos-vfs") && why.contains("agentctl cont"), "{why}");
    let seen = count(&daemon.tree("halting")).expect("what it had counted is still there");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(count(&daemon.tree("halting")), Some(seen), "it does not run");
    succeeded(agent.tell(&["cont"]));
    wait_until("the agent to count on", SOON, || count(&daemon.tree("halting")) > Some(seen));
    assert!(agent.inspect()["agent"]["review"].is_null());
}

#[test]
fn a_time_to_live_goes_on_when_the_server_dies() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let agent = counting(&daemon, "going", Path::new("base"));
    let script =
        "cd /mem/working; mkdir -p d/e; for f in a d/e/b; do echo x > $f; setfattr -n user.agentos.ttl -v 3 $f; done;
        echo x > stays";
    succeeded(agent.exec(&["/bin/sh", "-c", script]));
    kill(daemon.vfs());
    wait_until("new mounts", SOON, || events(&daemon, "going").contains("mounted anew"));
    let working = daemon.tree("going").join("mem/working");
    assert!(working.join("d/e/b").exists(), "the control: it is there until then");
    // Listed and not looked up, which would end what has expired by itself.
    let names = |directory: &Path| fs::read_dir(directory).map_or(0, Iterator::count);
    wait_until("both to go", SOON, || names(&working.join("d/e")) == 0 && names(&working) == 3);
    assert!(working.join("stays").exists());
}

#[test]
fn an_agent_whose_mount_alone_ends_gets_another_and_its_neighbour_keeps_its_own() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let (going, other) = (counting(&daemon, "going", Path::new("base")), counting(&daemon, "other", Path::new("base")));
    succeeded(going.exec(&["/bin/sh", "-c", "echo kept > /mem/working/kept; echo kept > /mem/semantic/kept"]));
    let served = daemon.vfs();
    for round in 1..=3 {
        end(&daemon.tree("going"));
        wait_until("a new mount", SOON, || events(&daemon, "going").matches("mounted anew").count() == round);
        let seen = count(&daemon.tree("going"));
        wait_until("the agent to count on", SOON, || count(&daemon.tree("going")) > seen);
        let kept = succeeded(going.exec(&["/bin/cat", "/mem/working/kept", "/mem/semantic/kept", "/policy/digest"]));
        assert!(stdout(&kept).starts_with("kept\nkept\nsha256:"), "{}", stdout(&kept));
    }
    assert_eq!(daemon.vfs(), served, "the server is the same");
    assert!(!events(&daemon, "other").contains("lost"), "{}", events(&daemon, "other"));
    let seen = count(&daemon.tree("other"));
    wait_until("the neighbour to count on", SOON, || count(&daemon.tree("other")) > seen);
    drop((going, other));
    wait_until("the mounts to go with the agents", SOON, || daemon.mounts() == 0);
}

#[test]
fn an_agent_whose_mount_alone_ends_is_stopped_where_its_policy_says_so() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = daemon.policy("extends: [base]\nmemory: {on_vfs_loss: stop}\n");
    let agent = counting(&daemon, "halting", &policy);
    end(&daemon.tree("halting"));
    wait_until("the agent to be stopped", SOON, || agent.state() == "stopped");
    wait_until("new mounts", SOON, || events(&daemon, "halting").contains("mounted anew"));
    let seen = count(&daemon.tree("halting")).expect("what it had counted is still there");
    succeeded(agent.tell(&["cont"]));
    wait_until("the agent to count on", SOON, || count(&daemon.tree("halting")) > Some(seen));
}

#[test]
fn agents_whose_shared_store_alone_ends_have_it_again_and_keep_what_is_their_own() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = daemon.policy("extends: [base]\nmemory: {semantic_shared: team}\n");
    let (one, two) = (counting(&daemon, "one", &policy), counting(&daemon, "two", &policy));
    succeeded(one.exec(&["/bin/sh", "-c", "echo kept > /mem/semantic/kept"]));
    let own = device(&daemon.tree("two"));
    for round in 1..=2 {
        end(&daemon.place().join("run/shared/team"));
        for name in ["one", "two"] {
            wait_until("it again", SOON, || events(&daemon, name).matches("mounted anew").count() == round);
        }
        let kept = succeeded(two.exec(&["/bin/sh", "-c", "cat /mem/semantic/kept; echo two >> /mem/semantic/kept"]));
        let expected = format!("kept\n{}", "two\n".repeat(round - 1));
        assert_eq!(stdout(&kept), expected);
        let seen = succeeded(one.exec(&["/bin/cat", "/mem/semantic/kept"]));
        assert_eq!(stdout(&seen), format!("{expected}two\n"), "one file system for both");
        let host = fs::read_to_string(daemon.tree("one").join("mem/semantic/kept"));
        assert_eq!(host.expect("the host's view"), format!("{expected}two\n"));
        let seen = count(&daemon.tree("one"));
        wait_until("the agent to count on", SOON, || count(&daemon.tree("one")) > seen);
    }
    assert_eq!(device(&daemon.tree("two")), own, "their own mounts stay");
    drop((one, two));
    wait_until("the mounts to go with the agents", SOON, || daemon.mounts() == 0);
}
