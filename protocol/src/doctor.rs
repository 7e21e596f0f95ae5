//! What this host offers.

use serde::{Deserialize, Serialize};

/// One line of `agentctl doctor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The layer: `landlock`, `seccomp`, `cgroup memory`, …
    pub layer: String,
    /// What needs it: `every agent`, `limits.memory`, `agentctl denials`.
    pub required_by: String,
    /// What was found: `ABI 7`, `version 1 at /sys/fs/cgroup/memory`, `no /dev/fuse`.
    pub found: String,
    /// Whether that is enough.
    pub status: Status,
    /// What follows, as a sentence; empty when nothing does.
    pub consequence: String,
}

/// Whether a layer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// There.
    Ok,
    /// Missing; agents still start, some only under policies that can do without it, and what is not enforced or not listed
    /// is said wherever they are shown.
    Degraded,
    /// Missing and required: the daemon does not start.
    Missing,
}

/// What this host offers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Doctor {}

/// One line a layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DoctorReply {
    /// The lines.
    pub checks: Vec<Check>,
}
