//! Promise 9 with a full disk: what cannot be recorded does not happen and says why; what only takes away still does.

use serde_json::json;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tests::{Daemon, Launch, ask, done, stderr, succeeded, wait_until};

/// A small disk of its own for the audit log; detached when it is dropped, also while the daemon has files open there.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Self {
        let mut mount = Command::new("mount");
        let _mounted = succeeded(
            mount.args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "audit"]).arg(&path).output().expect("mount"),
        );
        Self(path)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.filler()).expect("a file");
        while file.write_all(&[0; 512]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let detached = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(detached.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

fn write(path: &Path) -> serde_json::Value {
    json!({"action": "file_write", "params": {"path": path, "content": "x"}})
}

#[test]
fn nothing_happens_that_cannot_be_recorded_and_an_agent_can_still_be_killed() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let disk = SmallDisk::mount(daemon.place().join("state/audit"));
    // Another daemon, whose log is on the small disk from its beginning.
    daemon.crash_and_restart();
    let workspace = daemon.workspace();
    let policy = daemon.policy(
        "extends: [python]\nfilesystem: [{path: \"${workspace}\", access: read}]\npolicies: [{action: file_write, paths: [\"${workspace}/**\"]}]\n",
    );
    let agent = daemon.spawn(&Launch::new(&policy).workspace(&workspace).name("writer"), &["/bin/sleep", "600"]);
    let _control = done(&agent, &write(&workspace.join("before")));

    disk.fill();
    // The last page of the log's file still takes a few.
    let mut said = String::new();
    wait_until("the disk to be full", Duration::from_secs(20), || {
        said = stderr(&agent.exec(&["/bin/true"]));
        said.contains("cannot be recorded")
    });
    let operator = daemon.agentctl(&["execute", "--agent", "writer", "file_write", "path=full", "content=x"]);
    assert!(!operator.status.success() && stderr(&operator).contains("audit_unavailable"), "{operator:?}");
    assert!(!workspace.join("full").exists());
    let second = agent.exec(&["/usr/bin/touch", "/tmp/x"]);
    assert!(!second.status.success() && stderr(&second).contains("cannot be recorded"), "{}", stderr(&second));
    let started = daemon.run_inside(&Launch::new("base"), &["/bin/true"]);
    assert!(!started.status.success() && stderr(&started).contains("cannot be recorded"), "{}", stderr(&started));

    fs::remove_file(disk.filler()).expect("our own file");
    wait_until("the log to take records again", Duration::from_secs(20), || {
        ask(&agent, &write(&workspace.join("after")))["success"] == true
    });
    disk.fill();
    let _killed = succeeded(agent.tell(&["kill", "-9"]));
    wait_until("the end", Duration::from_secs(10), || agent.state() == "exited");
    fs::remove_file(disk.filler()).expect("our own file");
}
