//! What is known of an agent.

use crate::ids::{AgentId, AgentName, TimeUs};
use crate::signal::Signal;
use serde::{Deserialize, Serialize};

/// Where an agent stands in its life.
///
/// ```text
///   starting ──► running ◄──► stopped
///       │           │            │
///       └───────────┴── exited ◄─┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The sandbox is being built; the command has not run yet.
    Starting,
    /// The command runs.
    Running,
    /// Every process is in state T; none can act until `cont`.
    Stopped,
    /// Nothing of it is left but its records.
    Exited,
}

/// How an agent, or a further process in it, ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, when it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// Why it ended.
    pub reason: ExitReason,
    /// A sentence for people, when `reason` alone does not tell (for example which step of the start failed).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Why an agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// The command ended by itself, or by a signal that nobody asked the daemon for.
    Finished,
    /// An operator's SIGKILL.
    Killed,
    /// The kernel's out-of-memory killer, inside the agent's own limit.
    Memory,
    /// The wall-clock limit of the policy, or `--timeout`.
    Wall,
    /// The output limit of the policy.
    Output,
    /// A forbidden act, which its policy answers with SIGKILL (SIGPOLICY).
    Policy,
    /// A budget of its policy that has no reason of its own: processor time, actions (SIGBUDGET).
    Budget,
    /// The same action again and again, past what its policy bears (SIGLOOP).
    Loop,
    /// The client that ran it in the foreground went away without detaching.
    HungUp,
    /// The sandbox could not be built; the command was not run.
    NotStarted,
    /// The daemon ended, or was found dead.
    DaemonGone,
}

/// What `ps` shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Agent {
    /// The operator's name for it.
    pub name: AgentName,
    /// This run.
    pub id: AgentId,
    /// Where it stands.
    pub state: State,
    /// The main process, as the host numbers it; while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The agent's own host uid.
    pub uid: u32,
    /// The uid that asked for it.
    pub owner: u32,
    /// The policy's name.
    pub policy: String,
    /// SHA-256 over the policy's sources, in hexadecimal.
    pub policy_digest: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The workspace directory, at its own path inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// When it was asked for.
    pub created_us: TimeUs,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_us: Option<TimeUs>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Denials listed so far, or absent when this host lists none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denials: Option<u64>,
    /// Layers that the policy named as optional and this kernel lacks; empty when everything is enforced.
    #[serde(default)]
    pub not_enforced: Vec<String>,
    /// Why the daemon has stopped it by itself, for somebody to look; until it is continued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
}

/// What `inspect` adds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Details {
    /// What `ps` shows.
    pub agent: Agent,
    /// Present resource use; absent when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The limits in force.
    pub limits: Limits,
    /// Every cgroup directory that holds it (one on version 2, several on hybrid hosts).
    pub cgroups: Vec<String>,
    /// What is visible inside and how: `read /usr`, `write /work/x`, `none /etc/shadow`.
    pub view: Vec<String>,
    /// Names of the variables in its environment; values stay out of sight.
    pub environment: Vec<String>,
    /// The policy's source files, in the order in which they apply.
    pub policy_sources: Vec<String>,
    /// Whether the kernel's denials are listed, and if not, why.
    pub denial_log: crate::denial::Completeness,
    /// Further processes started by `exec` that still run.
    pub execs: Vec<ExecId>,
}

/// Resource use, as the cgroup controllers count it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes charged: anonymous, tmpfs, memfd and page cache.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// Bytes written to standard output and standard error so far.
    pub output_bytes: u64,
}

/// Limits in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Processors' worth of time, in thousandths.
    pub cpu_milli: Option<u64>,
    /// Wall-clock milliseconds.
    pub wall_ms: Option<u64>,
    /// Bytes of output.
    pub output_bytes: Option<u64>,
    /// Open files in each process.
    pub files: u64,
    /// Milliseconds of processor time in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_time_ms: Option<u64>,
}

/// A further process in an agent, started by `exec`; counted from 1 within the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecId(pub u32);
