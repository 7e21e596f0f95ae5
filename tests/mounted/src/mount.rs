//! One mount.

use crate::{AGENT, kernel};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a mount shall be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// `agent`, `inspect`, `restore` or `shared`.
    pub purpose: &'static str,
    /// User and group that its files are shown with.
    pub user: u32,
    /// Bytes that each part may hold.
    pub bytes: u64,
    /// Files, directories and links that each part may hold.
    pub inodes: u64,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { purpose: "agent", user: AGENT, bytes: 4 << 30, inodes: 1 << 20 }
    }
}

impl Wanted {
    pub(crate) fn order(&self, name: &str) -> Value {
        let quota = json!({"bytes": self.bytes, "inodes": self.inodes});
        let quotas = json!({
            "working": quota, "episodic": quota, "semantic": quota, "procedural": quota, "state": quota,
        });
        let (purpose, user) = (self.purpose, self.user);
        json!({
            "order": "serve", "mount": name, "purpose": purpose, "uid": user, "gid": user, "quotas": quotas,
        })
    }
}

/// A mounted file system. Dropped, it is unmounted.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
    name: String,
}

impl Mount {
    pub(crate) fn new(path: PathBuf, name: String) -> Self {
        Self { path, name }
    }

    /// Its root on the host.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let gone = kernel::detach(&self.path).and_then(|()| std::fs::remove_dir(&self.path).map_err(Into::into));
        if let Err(error) = gone {
            eprintln!("mounted: {error:#}");
        }
    }
}

/// `program` as `user` without any group or capability, to be completed: a process of the agent.
#[must_use]
pub fn as_user(user: u32, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    let user = user.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    command.arg("--").arg(program);
    command
}
