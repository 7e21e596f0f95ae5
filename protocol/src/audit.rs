//! What a record of the audit log says. Number, time and the hash of the record before are the log's own
//! (`docs/audit-format.md`).
//!
//! Records are read years later: fields are added, never renamed, and a reader takes what it does not know for what it is.

use crate::agent::Exit;
use crate::event::Caller;
use crate::ids::{AgentId, AgentName, TimeUs};
use serde::{Deserialize, Serialize};

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What sort of thing happened.
    pub kind: Kind,
    /// Whose doing or whom it concerns; absent when it is the daemon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentRef>,
    /// Who asked, when somebody other than the agent did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Caller>,
    /// The process, as the host numbers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The program of that process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// What was attempted, in words: `file_read /data/x.csv`, `mount`, `SIGKILL`.
    pub attempted: String,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Answer>,
    /// For programs: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The rule that decided, with its file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Digest of the policy in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<String>,
    /// Which layer stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<StoppedBy>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The request of an action, as its reply names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The action, when one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What was decided about, in the words of `agentctl policy explain` and without variables: `path=/data/x`,
    /// `program=/usr/bin/git`, `arg=status`. Empty when words cannot say it, such as a path that is not UTF-8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request: Vec<String>,
    /// SHA-256 of the action and its parameters, in hexadecimal: what an approval is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_digest: Option<String>,
    /// An approval that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// The record that this one is about: the decision of an outcome, the denial of a violation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// What a caller claimed and what had no effect: `approved`, `agent_id`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_effect: Vec<String>,
    /// When it happened, if that was known better than by the record's own time: the kernel's clock for denials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened_us: Option<TimeUs>,
    /// How the agent ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

/// Sorts of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it; docs/audit.md describes each")]
pub enum Kind {
    /// The daemon began or ended.
    Daemon,
    Launch,
    Exec,
    Exit,
    Signal,
    /// An action or another request was decided.
    Decision,
    /// What came of an action.
    Outcome,
    /// The kernel refused something.
    Denial,
    /// A forbidden act was answered: SIGPOLICY, SIGBUDGET, SIGLOOP.
    Violation,
    Approval,
    Policy,
    Memory,
    #[serde(other)]
    Other,
}

/// An agent, in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRef {
    /// Its name.
    pub name: AgentName,
    /// Its run; absent when it is about the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AgentId>,
    /// Its host user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The user that asked for it.
    pub owner: u32,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It may be done.
    Allow,
    /// It may not.
    Deny,
    /// A person is asked.
    Hold,
    /// The policy refuses it and only records: mode `audit`.
    WouldDeny,
}

/// The layer that stopped something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the layers of docs/confinement.md")]
pub enum StoppedBy {
    Policy,
    Landlock,
    Seccomp,
    Mount,
    Network,
    Vfs,
    Cgroup,
    Approval,
    #[serde(other)]
    Other,
}

impl Record {
    /// A record that says nothing but this.
    #[must_use]
    pub fn new(kind: Kind, attempted: impl Into<String>) -> Self {
        Self {
            kind,
            agent: None,
            by: None,
            pid: None,
            exe: None,
            attempted: attempted.into(),
            decision: None,
            reason: None,
            rule: None,
            policy_digest: None,
            stopped_by: None,
            outcome: None,
            request_id: None,
            action: None,
            request: Vec::new(),
            action_digest: None,
            approval: None,
            of: None,
            without_effect: Vec::new(),
            happened_us: None,
            exit: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_takes_what_a_newer_daemon_writes() {
        let text = r#"{"kind":"quantum","attempted":"x","stopped_by":"prayer","colour":"red"}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!((record.kind, record.stopped_by), (Kind::Other, Some(StoppedBy::Other)));
    }

    #[test]
    fn what_is_not_known_is_not_written() {
        let text = serde_json::to_string(&Record::new(Kind::Daemon, "started")).unwrap();
        assert_eq!(text, r#"{"kind":"daemon","attempted":"started"}"#);
    }
}
