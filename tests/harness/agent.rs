//! An agent that a test has started in the background.

use crate::{Daemon, judge};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Output;

/// A detached agent; dropped, it is killed and its records are removed.
#[derive(Debug)]
pub struct Agent<'d> {
    daemon: &'d Daemon,
    name: String,
    details: Value,
}

impl<'d> Agent<'d> {
    pub(crate) fn new(daemon: &'d Daemon, name: String) -> Self {
        let details = daemon.inspect(&name);
        Self { daemon, name, details }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its host uid.
    #[must_use]
    pub fn uid(&self) -> u32 {
        let uid = self.details["agent"]["uid"].as_u64();
        uid.and_then(|uid| u32::try_from(uid).ok()).expect("inspect names the uid")
    }

    /// Its main process, as the host numbers it. It may have ended since.
    #[must_use]
    pub fn pid(&self) -> i32 {
        let pid = self.details["agent"]["pid"].as_i64();
        pid.and_then(|pid| i32::try_from(pid).ok()).expect("inspect names the pid of a running agent")
    }

    /// Its cgroup directories.
    #[must_use]
    pub fn cgroups(&self) -> Vec<PathBuf> {
        crate::daemon::cgroups(&self.details)
    }

    /// Every process in its cgroups, ours too.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        judge::cgroup_processes(&self.cgroups())
    }

    /// What `inspect` says now.
    #[must_use]
    pub fn inspect(&self) -> Value {
        self.daemon.inspect(&self.name)
    }

    /// `starting`, `running`, `stopped` or `exited`, as the daemon says now.
    #[must_use]
    pub fn state(&self) -> String {
        self.inspect()["agent"]["state"].as_str().expect("inspect names the state").to_owned()
    }

    /// `agentctl WORDS… NAME`, for example `agent.tell(&["kill", "-9"])`.
    #[must_use]
    pub fn tell(&self, words: &[&str]) -> Output {
        let mut all = words.to_vec();
        all.push(&self.name);
        self.daemon.agentctl(&all)
    }

    /// Runs a further command inside, to its end.
    #[must_use]
    pub fn exec(&self, argv: &[&str]) -> Output {
        let mut words = vec!["exec", self.name.as_str(), "--"];
        words.extend(argv);
        self.daemon.agentctl(&words)
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn output(&self) -> String {
        crate::stdout(&self.tell(&["logs", "--raw", "--stdout-only"]))
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        // A daemon that a test has killed cannot answer; its own drop looks for what is left.
        if self.daemon.is_running() {
            let output = self.tell(&["rm", "--force"]);
            let gone = output.status.success() || output.status.code() == Some(3);
            if !gone && !std::thread::panicking() {
                panic!("agentctl rm --force {}: {}", self.name, crate::stderr(&output));
            }
        }
    }
}
