//! What happened to agents, in order.

use crate::agent::Exit;
use crate::audit::StoppedBy;
use crate::ids::{AgentId, AgentName, TimeUs};
use crate::signal::{KernelSignal, Signal};
use serde::{Deserialize, Serialize};

/// One entry of the event log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counted from 1 on one state directory.
    pub seq: u64,
    /// When.
    pub time_us: TimeUs,
    /// The agent's name.
    pub agent: AgentName,
    /// Its run; absent when the event is the name's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AgentId>,
    /// Who caused it; absent when the agent itself or the kernel did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Caller>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// Who called, as the kernel says (SO_PEERCRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Process at the time of the connection.
    pub pid: i32,
}

/// Kinds of event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The command was started.
    Started {
        /// The policy in force.
        policy: String,
    },
    /// A signal was asked for.
    Signal {
        /// Which.
        signal: Signal,
        /// What came of it: `delivered`, `stopped 12 processes`, `no effect: already stopped`, …
        outcome: String,
    },
    /// A further process was started by `exec`.
    Exec {
        /// Its command.
        command: Vec<String>,
    },
    /// A further process was asked for and could not be started.
    ExecFailed {
        /// Its command.
        command: Vec<String>,
        /// For people: why.
        why: String,
    },
    /// A further process ended.
    ExecExited {
        /// How.
        exit: Exit,
    },
    /// The agent ended and nothing of it is left running.
    Exited {
        /// How.
        exit: Exit,
    },
    /// What serves its files was lost, or serves them no longer.
    VfsLost {
        /// What came of it: `its files are mounted anew`, `stopped for review`, …
        outcome: String,
    },
    /// A daemon took the running agent back, which one before it had started.
    TakenBack {
        /// How long no daemon was there, in milliseconds.
        absent_ms: u64,
    },
    /// A forbidden act or a spent budget, and what followed.
    Violation(Violation),
    /// It has a file of its own, and ended: what follows was decided.
    Restart {
        /// `starts again in 2s, for the 2nd time: …`, `stays ended: …`.
        outcome: String,
    },
    /// Its health command tells something else than before.
    Health {
        /// `healthy`, `unhealthy: …`.
        outcome: String,
    },
    /// What its name remembers was replaced by what somebody imported.
    MemoryRestored,
    /// What its name remembers was removed, because a caller wanted it.
    MemoryRemoved,
    /// Its records were removed.
    Removed {
        /// For people: why the daemon did it by itself; empty when a caller wanted it, with `rm` or `run --rm`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
}

/// A forbidden act or a spent budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The signal that was raised.
    pub signal: KernelSignal,
    /// What happened: `mount: system call refused by seccomp (all policies)`.
    pub what: String,
    /// Which rule it broke: `tripwire mount`, `process.limits.wall (base.yaml:41)`.
    pub rule: String,
    /// How such is answered in this agent.
    pub answer: Answered,
    /// What came of it: `killed`, `stopped for review`, `no effect: already stopped`, …
    pub outcome: String,
    /// The layer that refused the act, or held the limit.
    pub stopped_by: StoppedBy,
    /// The process, as the host numbers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Its program, as the agent sees the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
}

/// How a violation is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Answered {
    /// It is recorded.
    #[serde(rename = "record")]
    Record,
    /// It is refused.
    #[serde(rename = "deny")]
    Deny,
    /// The agent is stopped for somebody to look.
    #[serde(rename = "SIGSTOP")]
    Stop,
    /// The agent is killed.
    #[serde(rename = "SIGKILL")]
    Kill,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_reads_as_one_flat_entry() {
        let violation = Violation {
            signal: KernelSignal::Policy,
            what: "mount: system call refused by seccomp (all policies)".into(),
            rule: "tripwire mount".into(),
            answer: Answered::Kill,
            outcome: "killed".into(),
            stopped_by: StoppedBy::Seccomp,
            pid: Some(7),
            exe: None,
        };
        let text = serde_json::to_value(What::Violation(violation.clone())).expect("JSON");
        let expected = serde_json::json!({"event": "violation", "signal": "SIGPOLICY", "answer": "SIGKILL",
            "what": "mount: system call refused by seccomp (all policies)", "rule": "tripwire mount",
            "outcome": "killed", "stopped_by": "seccomp", "pid": 7});
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_value::<What>(text).expect("an event"), What::Violation(violation));
    }
}
