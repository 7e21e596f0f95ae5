//! The answer, for people and for programs.

use crate::failure::Failure;
use crate::show::{self, output::Painter};
use protocol::action::{ActionError, ExecuteReply, RefusalReason};
use protocol::exit_code;
use protocol::ids::TimeUs;
use protocol::text::escape;
use serde_json::Value;
use std::io::{self, IsTerminal as _, Write as _};

/// Shows it; the exit code.
pub(super) fn show(reply: &ExecuteReply, json: bool, raw: bool) -> Result<u8, Failure> {
    if json {
        show::document(reply)?;
        return Ok(code(reply));
    }
    if let Some(data) = &reply.data {
        match content(data) {
            Some(content) => write(content, raw)?,
            None => show::document(data)?,
        }
    }
    if !reply.success {
        show::notice(&sentence(reply));
    }
    Ok(code(reply))
}

/// What is text, and besides it nothing but how it was read, is shown as such.
fn content(data: &Value) -> Option<&str> {
    let object = data.as_object()?;
    let about_it = |name: &String| matches!(name.as_str(), "content" | "encoding" | "size" | "offset");
    let is_text = object.get("encoding").is_none_or(|encoding| encoding == "utf-8") && object.keys().all(about_it);
    object.get("content").filter(|_| is_text)?.as_str()
}

fn write(content: &str, raw: bool) -> Result<(), Failure> {
    let mut painter = Painter::new(io::stdout().is_terminal() && !raw, false);
    let mut bytes = painter.paint(TimeUs(0), content.as_bytes());
    bytes.extend(painter.finish(TimeUs(0)));
    let mut out = io::stdout().lock();
    out.write_all(&bytes).and_then(|()| out.flush()).map_err(Failure::Output)
}

fn code(reply: &ExecuteReply) -> u8 {
    match &reply.error {
        None if reply.success => exit_code::OK,
        None => exit_code::FAILED,
        Some(error) => code_of(error),
    }
}

/// Each reason has been thought about: a new one does not compile until it has.
fn code_of(error: &ActionError) -> u8 {
    use RefusalReason as R;
    match error.reason {
        R::ApprovalTimeout if error.approval.is_some() => exit_code::HELD,
        R::NothingGranted
        | R::DeniedByRule
        | R::NotInLayer
        | R::ReadOnly
        | R::TooLarge
        | R::RateExceeded
        | R::CountExceeded
        | R::RepeatedAction
        | R::ApprovalTimeout
        | R::ApprovalDenied
        | R::ApprovalActionMismatch
        | R::ApprovalInvalid
        | R::ApprovalFlood
        | R::PathEscapes
        | R::PathReserved => exit_code::DENIED,
        R::UnknownAction | R::UnknownPolicy | R::IncompleteRequest | R::BadParameter => exit_code::USAGE,
        R::AgentNotRunning => exit_code::WRONG_STATE,
        R::DaemonLeaving => exit_code::NO_DAEMON,
        R::NotFound
        | R::WrongType
        | R::HostRefused
        | R::StatementRefused
        | R::Timeout
        | R::NotAvailable
        | R::Busy
        | R::Interrupted
        | R::AuditUnavailable
        | R::Internal => exit_code::FAILED,
    }
}

/// Why it was not done, and what to do; where it is recorded.
fn sentence(reply: &ExecuteReply) -> String {
    let mut text = match &reply.error {
        Some(error) => {
            let word = match code_of(error) {
                exit_code::HELD => "waits for approval",
                exit_code::DENIED => "denied",
                _ => "failed",
            };
            let rule = error.rule.as_ref().map_or_else(String::new, |rule| format!("; rule: {}", escape(rule)));
            format!("{word}: {} (reason: {}{rule})", escape(&error.message), error.reason.word())
        }
        None => "failed, and agentosd does not say why".to_owned(),
    };
    if let Some(signal) = &reply.signal {
        text.push_str(&format!("; answered with {}", escape(signal)));
    }
    if let Some(seq) = reply.audit_seq {
        text.push_str(&format!("\nrecorded: agentctl audit show {seq}"));
    }
    let waits = reply.error.as_ref().filter(|error| code_of(error) == exit_code::HELD);
    if let Some(id) = waits.and_then(|error| error.approval.as_ref()) {
        text.push_str(&format!("\nagentctl approvals approve {id}, then the same again with --approval {id}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::action::ApprovalId;
    use serde_json::json;

    fn refused(reason: RefusalReason) -> ExecuteReply {
        let error = ActionError {
            reason,
            message: "no rule allows it\x1b[2J".to_owned(),
            rule: Some("deny * (base:3)".to_owned()),
            approval: matches!(reason, RefusalReason::ApprovalTimeout).then(|| ApprovalId::new(7)),
        };
        ExecuteReply { error: Some(error), audit_seq: Some(12), ..ExecuteReply::default() }
    }

    #[test]
    fn denied_held_and_failed_are_told_apart() {
        let done = ExecuteReply { success: true, ..ExecuteReply::default() };
        assert_eq!((code(&done), code(&ExecuteReply::default())), (0, 1));
        for (reason, expected) in [
            (RefusalReason::DeniedByRule, exit_code::DENIED),
            (RefusalReason::ApprovalDenied, exit_code::DENIED),
            (RefusalReason::ApprovalTimeout, exit_code::HELD),
            (RefusalReason::BadParameter, exit_code::USAGE),
            (RefusalReason::NotFound, exit_code::FAILED),
        ] {
            assert_eq!(code(&refused(reason)), expected, "{reason:?}");
        }
        assert!(RefusalReason::ALL.iter().all(|reason| code(&refused(*reason)) != exit_code::OK));
    }

    #[test]
    fn a_refusal_has_reason_rule_and_remedy() {
        let said = sentence(&refused(RefusalReason::DeniedByRule));
        let expected = "denied: no rule allows it\\u{1b}[2J (reason: denied_by_rule; rule: deny * (base:3))\n\
                        recorded: agentctl audit show 12";
        assert_eq!(said, expected);
        let said = sentence(&refused(RefusalReason::ApprovalTimeout));
        assert!(said.ends_with("agentctl approvals approve ap-7, then the same again with --approval ap-7"), "{said}");
    }

    #[test]
    fn only_what_is_content_and_nothing_else_is_shown_as_content() {
        assert_eq!(content(&json!({"content": "x"})), Some("x"));
        assert_eq!(content(&json!({"content": "x", "encoding": "utf-8", "size": 1, "offset": 0})), Some("x"));
        for other in [
            json!({"content": "x", "encoding": "base64"}),
            json!({"content": "x", "rows": 1}),
            json!({"content": 1}),
            json!(["content"]),
            json!("x"),
        ] {
            assert_eq!(content(&other), None, "{other}");
        }
    }
}
