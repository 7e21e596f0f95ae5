//! How an agent's policy answers, worked out once at its start.

use policies::{Answer, ForbiddenAct, Mode, Table};
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
    /// From the agent's policy with all that narrows it.
    pub(crate) fn of(table: &Table) -> Self {
        let answer = |act| match table.answer(act) {
            // The kernel refuses it in every mode; what the mode `audit` leaves out is the answer.
            Answer::Deny if table.mode() == Mode::Audit => Answered::Record,
            Answer::Deny => Answered::Deny,
            Answer::Stop => Answered::Stop,
            Answer::Kill => Answered::Kill,
        };
        Self { tripwire: answer(ForbiddenAct::Tripwire), budget: answer(ForbiddenAct::Budget) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(text: &str) -> Answers {
        let text = format!("extends: [base]\n{text}\n");
        let document = policies::parse("p.yaml", &text).expect("a policy");
        let policy = policies::resolve(&document, &policies::Shipped).expect("an effective policy");
        let variables = policies::Variables { workspace: None, home: "/home/a".into(), name: "a".into() };
        Answers::of(&Table::compile(&policy, &variables, &[]).expect("a table"))
    }

    #[test]
    fn the_mode_is_the_answer_to_a_tripwire_and_a_limit_kills_in_every_mode() {
        for (mode, answer) in [("strict", Answered::Kill), ("permissive", Answered::Deny), ("audit", Answered::Record)]
        {
            let answers = answers(&format!("kernel: {{version: \"1.0\", mode: {mode}}}"));
            assert_eq!((answers.tripwire, answers.budget), (answer, Answered::Kill), "{mode}");
        }
        assert_eq!(answers("").tripwire, Answered::Deny, "nothing said is permissive");
    }

    #[test]
    fn the_policy_can_name_another_answer() {
        let named = answers("on_violation: {tripwires: SIGSTOP, budgets: SIGSTOP}");
        assert_eq!((named.tripwire, named.budget), (Answered::Stop, Answered::Stop));
    }
}
