//! What the kernel refused an agent, from the kernel's own log.

use crate::ids::TimeUs;
use serde::{Deserialize, Serialize};

/// One refusal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Denial {
    /// Counted from 1 within the agent's run.
    pub seq: u64,
    /// When, by the kernel's clock.
    pub time_us: TimeUs,
    /// The process, as the host numbers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The program, as the agent sees its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// The process's own name (`comm`), which it can choose freely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// Which layer refused.
    pub layer: Layer,
    /// What was attempted, in one or two words: `read`, `create file`, `mount`.
    pub action: String,
    /// On what: a path, a process, a syscall's arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The system call's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscall: Option<String>,
    /// The call's first four arguments, in hexadecimal, when the kernel logged them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// In words: `read /etc/shadow: not granted by policy base`. Not escaped; whoever shows it does that.
    pub sentence: String,
}

/// The layer that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Landlock (audit record 1423).
    Landlock,
    /// seccomp (audit record 1326).
    Seccomp,
}

/// Whether the list is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Completeness {
    /// The agent still runs; the kernel's final count is not known yet.
    Open {
        /// Denials listed so far.
        listed: u64,
    },
    /// The Landlock domain's final count is the number listed.
    Complete {
        /// Landlock denials by the kernel's count.
        counted: u64,
    },
    /// Some were missed; both numbers are known.
    Incomplete {
        /// Landlock denials listed.
        listed: u64,
        /// Landlock denials by the kernel's count, if it was received.
        counted: Option<u64>,
    },
    /// This host gives no denial log.
    NotListed {
        /// Why, as a sentence.
        why: String,
    },
}
