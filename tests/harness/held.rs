//! A process in an uninterruptible wait, as an unreachable file server would bring it about, but made by the host: held
//! by a freezer of cgroup version 1, which neither freezes for version 2 nor wakes for SIGKILL.

use crate::{Daemon, judge, wait_until};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// Dropped, the process goes on, or dies of the SIGKILL that came meanwhile.
#[derive(Debug)]
pub struct Held {
    mount: PathBuf,
    group: PathBuf,
}

impl Held {
    /// Holds `pid`; `None` where this host has no such freezer.
    ///
    /// # Panics
    /// When it has one that does not work.
    #[must_use]
    pub fn new(daemon: &Daemon, pid: i32) -> Option<Self> {
        let mount = daemon.place().join(format!("freezer-{pid}"));
        fs::create_dir(&mount).expect("a directory");
        let mut command = Command::new("mount");
        let output = command.args(["-t", "cgroup", "-o", "freezer", "none"]).arg(&mount).output().expect("mount(8)");
        if !output.status.success() {
            return None;
        }
        let group = mount.join(format!("agentos-held-{pid}"));
        fs::create_dir(&group).expect("a group");
        let held = Self { mount, group };
        fs::write(held.group.join("cgroup.procs"), pid.to_string()).expect("the process moves");
        fs::write(held.group.join("freezer.state"), "FROZEN").expect("the group freezes");
        wait_until("state D", SOON, || judge::process_state(pid) == Some('D'));
        Some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let steps = || -> std::io::Result<bool> {
            fs::write(self.group.join("freezer.state"), "THAWED")?;
            for pid in fs::read_to_string(self.group.join("cgroup.procs"))?.lines() {
                // It may just be dying.
                fs::write(self.mount.join("cgroup.procs"), pid).ok();
            }
            wait_until("the held process to leave", SOON, || fs::remove_dir(&self.group).is_ok());
            Ok(Command::new("umount").arg(&self.mount).status()?.success())
        };
        let done = steps();
        // A second panic would hide the first.
        assert!(std::thread::panicking() || matches!(done, Ok(true)), "{}: {done:?}", self.group.display());
    }
}
