//! How an agent's policy answers, worked out once at its start.

use policies::{Answer, AnswerSignal, Mediation, Mode};
use protocol::event::Answered;

/// The answers to what this daemon itself notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answers {
    /// To a tripwire.
    pub(crate) tripwire: Answered,
    /// To a spent budget of time, output or processor.
    pub(crate) budget: Answered,
}

impl Answers {
    /// From what the policy says of violations.
    pub(crate) fn of(mediation: &Mediation) -> Self {
        let may = |signal| mediation.signals.as_ref().is_none_or(|signals| signals.value.contains(&signal));
        let by_mode = match mediation.mode.as_ref().map(|rule| rule.value).unwrap_or_default() {
            Mode::Audit => Answered::Record,
            Mode::Permissive => Answered::Deny,
            Mode::Strict => Answered::Kill,
        };
        let named = mediation.on_tripwire.as_ref().map(|rule| match rule.value {
            Answer::Deny => Answered::Deny,
            Answer::Stop => Answered::Stop,
            Answer::Kill => Answered::Kill,
        });
        // The next milder answer where the policy keeps a signal from the kernel.
        let tripwire = match named.unwrap_or(by_mode) {
            Answered::Kill if may(AnswerSignal::SigKill) => Answered::Kill,
            Answered::Kill | Answered::Stop if may(AnswerSignal::SigStop) => Answered::Stop,
            Answered::Kill | Answered::Stop => Answered::Deny,
            milder => milder,
        };
        // A limit that is not enforced is none, so that there is always an answer.
        let stop = !may(AnswerSignal::SigKill) && may(AnswerSignal::SigStop);
        let budget = if stop { Answered::Stop } else { Answered::Kill };
        Self { tripwire, budget }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(text: &str) -> Answers {
        let text = format!("extends: [base]\n{text}\n");
        let document = policies::parse("p.yaml", &text).expect("a policy");
        Answers::of(&policies::resolve(&document, &policies::Shipped).expect("an effective policy").mediation)
    }

    #[test]
    fn the_mode_decides_unless_the_policy_names_an_answer() {
        for (mode, answer) in [("strict", Answered::Kill), ("permissive", Answered::Deny), ("audit", Answered::Record)]
        {
            assert_eq!(answers(&format!("kernel: {{version: \"1.0\", mode: {mode}}}")).tripwire, answer);
            let named = format!("kernel: {{version: \"1.0\", mode: {mode}}}\non_violation: {{tripwires: SIGSTOP}}");
            assert_eq!(answers(&named).tripwire, Answered::Stop);
        }
        assert_eq!(answers("").tripwire, Answered::Deny, "nothing said is permissive");
    }

    #[test]
    fn an_answer_that_the_kernel_may_not_give_becomes_a_milder_one() {
        let strict =
            |signals: &str| answers(&format!("kernel: {{version: \"1.0\", mode: strict}}\nsignals: {signals}"));
        assert_eq!(strict("[SIGSTOP, SIGKILL]").tripwire, Answered::Kill);
        assert_eq!(strict("[SIGSTOP]").tripwire, Answered::Stop);
        assert_eq!(strict("[SIGTERM]").tripwire, Answered::Deny);
        assert_eq!(strict("[SIGSTOP]").budget, Answered::Stop);
        assert_eq!(strict("[SIGTERM]").budget, Answered::Kill, "a limit has an answer in any case");
        assert_eq!(answers("").budget, Answered::Kill);
    }
}
