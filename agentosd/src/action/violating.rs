//! What an agent did by asking: a forbidden act, a spent budget, a loop. Its task answers, as the policy says.

use super::governed::Governed;
use crate::agent::Request;
use crate::gate::Refusal;
use crate::violation::{Raised, Spent};
use policies::{Answer, ForbiddenAct, Mode};
use protocol::action::RefusalReason;
use protocol::event::Answered;
use protocol::signal::KernelSignal;

/// What one too many is refused with.
pub(super) fn refusal_of(spent: Spent) -> Refusal {
    let reason = match spent {
        Spent::Actions(_) => RefusalReason::CountExceeded,
        Spent::Rate(_) => RefusalReason::RateExceeded,
        Spent::Repeats(_) => RefusalReason::RepeatedAction,
    };
    Refusal::new(reason, spent.to_string())
}

/// Which sort of act a refusal is the answer to; none for what is no more than a mistake.
fn act_of(reason: RefusalReason, spent: bool) -> Option<(ForbiddenAct, KernelSignal)> {
    use RefusalReason as Reason;
    match reason {
        Reason::NothingGranted | Reason::DeniedByRule | Reason::NotInLayer | Reason::ReadOnly => {
            Some((ForbiddenAct::Refused, KernelSignal::Policy))
        }
        Reason::PathEscapes | Reason::PathReserved => Some((ForbiddenAct::Refused, KernelSignal::Policy)),
        Reason::CountExceeded | Reason::RateExceeded if spent => Some((ForbiddenAct::Budget, KernelSignal::Budget)),
        Reason::RepeatedAction => Some((ForbiddenAct::Loop, KernelSignal::Loop)),
        _ => None,
    }
}

/// Has the agent's task answer, and names the signal if it is more than the refusal.
pub(super) async fn answer(
    governed: &Governed,
    (refusal, attempted): (&Refusal, &str),
    (pid, spent): (Option<i32>, bool),
) -> Option<String> {
    let (act, signal) = act_of(refusal.reason, spent)?;
    let answer = match governed.table.answer(act) {
        Answer::Deny if governed.table.mode() == Mode::Audit => Answered::Record,
        Answer::Deny => Answered::Deny,
        Answer::Stop => Answered::Stop,
        Answer::Kill => Answered::Kill,
    };
    if matches!(answer, Answered::Record | Answered::Deny) {
        return None;
    }
    let what = format!("{attempted}: {}", refusal.message);
    let rule = refusal.rule.clone().unwrap_or_else(|| refusal.reason.word().to_owned());
    let raised = Raised { signal, what, rule, stopped_by: refusal.stopped_by, pid, exe: None };
    // One that has ended has no task to tell.
    let inbox = governed.task()?;
    inbox.send(Request::Raise { raised, answer }).await.ok()?;
    Some(signal.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_no_violation_and_what_a_rule_refuses_is() {
        for reason in RefusalReason::ALL {
            let act = act_of(*reason, false).map(|(act, _)| act);
            let forbidden = matches!(
                reason.word(),
                "nothing_granted" | "denied_by_rule" | "not_in_layer" | "read_only" | "path_escapes" | "path_reserved"
            );
            let expected = match reason {
                RefusalReason::RepeatedAction => Some(ForbiddenAct::Loop),
                _ => forbidden.then_some(ForbiddenAct::Refused),
            };
            assert_eq!(act, expected, "{reason:?}");
        }
        let (act, signal) = act_of(RefusalReason::RateExceeded, true).unwrap();
        assert_eq!((act, signal), (ForbiddenAct::Budget, KernelSignal::Budget));
    }
}
