//! What happened, as records of the audit log. Pure.

use protocol::agent::Agent;
use protocol::audit::{AgentRef, Answer, Kind, Record, StoppedBy};
use protocol::denial::{Denial, Layer};
use protocol::event::{Answered, Event, Violation, What};

/// An agent as records name it.
pub(crate) fn subject(agent: &Agent) -> AgentRef {
    AgentRef { name: agent.name.clone(), id: Some(agent.id), uid: Some(agent.uid), owner: agent.owner }
}

/// The record of an event; none for what is recorded before it happens.
pub(crate) fn of_event(event: &Event, owner: u32) -> Option<Record> {
    let mut record = match &event.what {
        What::Started { .. } | What::Exec { .. } => return None,
        What::Signal { signal, outcome } => {
            let mut record = Record::new(Kind::Signal, signal.to_string());
            record.outcome = Some(outcome.clone());
            record
        }
        What::ExecFailed { command, why } => {
            let mut record = Record::new(Kind::Exec, words(command));
            record.outcome = Some(format!("not started: {why}"));
            record
        }
        What::ExecExited { exit } | What::Exited { exit } => {
            let of_agent = matches!(event.what, What::Exited { .. });
            let (kind, what) = if of_agent { (Kind::Exit, "end") } else { (Kind::Exec, "end of a further process") };
            let mut record = Record::new(kind, what);
            record.exit = Some(exit.clone());
            record
        }
        What::VfsLost { outcome } => {
            let mut record = Record::new(Kind::Memory, "loss of the agent's files");
            record.outcome = Some(outcome.clone());
            record
        }
        What::Violation(violation) => of_violation(violation),
        What::MemoryRestored => Record::new(Kind::Memory, "memory restored"),
        What::MemoryRemoved => Record::new(Kind::Memory, "memory removed"),
        What::Removed { .. } => Record::new(Kind::Other, "records removed"),
    };
    record.agent = Some(AgentRef { name: event.agent.clone(), id: event.id, uid: None, owner });
    record.by = event.by;
    Some(record)
}

fn of_violation(violation: &Violation) -> Record {
    let mut record = Record::new(Kind::Violation, violation.what.clone());
    record.pid = violation.pid;
    record.exe.clone_from(&violation.exe);
    record.decision = Some(if violation.answer == Answered::Record { Answer::WouldDeny } else { Answer::Deny });
    record.rule = Some(violation.rule.clone());
    record.reason = Some(violation.signal.name().to_owned());
    record.stopped_by = Some(violation.stopped_by);
    record.outcome = Some(violation.outcome.clone());
    record
}

/// The record of a kernel's refusal.
pub(crate) fn of_denial(agent: &AgentRef, policy_digest: &str, denial: &Denial) -> Record {
    let mut record = Record::new(Kind::Denial, denial.sentence.clone());
    record.agent = Some(agent.clone());
    record.pid = denial.pid;
    record.exe.clone_from(&denial.exe);
    record.decision = Some(Answer::Deny);
    record.policy_digest = Some(policy_digest.to_owned());
    record.stopped_by = Some(match denial.layer {
        Layer::Landlock => StoppedBy::Landlock,
        Layer::Seccomp => StoppedBy::Seccomp,
    });
    record.happened_us = Some(denial.time_us);
    record
}

/// A command as one line of words.
pub(crate) fn words(command: &[String]) -> String {
    command.join(" ")
}
