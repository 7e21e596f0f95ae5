//! What happened, as records of the audit log. Pure.

use protocol::agent::Agent;
use protocol::audit::{AgentRef, Answer, Kind, Record, StoppedBy};
use protocol::denial::{Denial, Layer};
use protocol::event::{Answered, Event, Violation, What};
use trust::format::{Body, BodyError};

/// Characters that are left of each text of a record that is too long.
const MOST_TEXT: usize = 600;

/// The record as the log takes it. One that is too long keeps everything but the ends of its texts: that something is said at
/// length must not keep it from being recorded.
pub(super) fn body(record: &Record) -> Result<Body, BodyError> {
    match Body::new(record) {
        Err(BodyError::Long { .. }) => Body::new(&shortened(record.clone())),
        body => body,
    }
}

fn shortened(mut record: Record) -> Record {
    let texts = [&mut record.outcome, &mut record.rule, &mut record.exe, &mut record.reason];
    let texts = texts.into_iter().flatten().chain([&mut record.attempted]).chain(&mut record.without_effect);
    texts.for_each(|text| *text = crate::action::cut(text, MOST_TEXT));
    record.request.clear();
    record.without_effect.truncate(8);
    if let Some(exit) = &mut record.exit {
        exit.detail = crate::action::cut(&exit.detail, MOST_TEXT);
    }
    record
}

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
        What::TakenBack { absent_ms } => {
            let mut record = Record::new(Kind::Daemon, "taken back");
            record.outcome = Some(format!("no agentosd was there for {absent_ms} ms"));
            record
        }
        What::Violation(violation) => of_violation(violation),
        What::Restart { outcome } | What::Health { outcome } => {
            let what = if matches!(event.what, What::Health { .. }) { "health" } else { "restart" };
            let mut record = Record::new(Kind::Other, what);
            record.outcome = Some(outcome.clone());
            record
        }
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
    crate::action::cut(&command.join(" "), MOST_TEXT / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_long_a_command_is_its_start_can_be_recorded() {
        let mut record = Record::new(Kind::Launch, "\u{1}".repeat(1 << 20));
        record.outcome = Some("\u{1}".repeat(1 << 20));
        record.rule = Some("\u{1}".repeat(1 << 20));
        record.exe = Some("\u{1}".repeat(1 << 20));
        record.without_effect = vec!["\u{1}".repeat(1 << 20); 32];
        record.action = Some("file_read".into());
        let body = body(&record).unwrap();
        assert!(body.as_str().contains("file_read") && body.as_str().contains('…'));
        let short = Record::new(Kind::Launch, "true");
        assert_eq!(super::body(&short).unwrap(), Body::new(&short).unwrap(), "what fits is whole");
    }
}
