//! What becomes of an agent after a forbidden act: a signal, or nothing but the refusal.
//!
//! ```text
//!   `on_violation`, else the mode ──► not milder than a narrowing `strict` ──► nothing in audit ──► only what `signals` lists
//! ```

use std::collections::BTreeSet;

use crate::mediation::{Answer, AnswerSignal, Mediation, Mode};
use crate::narrowing::Narrowing;

/// What an agent did that a policy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForbiddenAct {
    /// It asked for what it is refused.
    Refused,
    /// It touched what only a hostile agent would.
    Tripwire,
    /// It has used up `cpu_time`, `wall`, `output` or `actions`.
    Budget,
    /// It asked for the same more often in a row than `repeats` allows.
    Loop,
}

impl ForbiddenAct {
    /// Every sort.
    pub const ALL: [Self; 4] = [Self::Refused, Self::Tripwire, Self::Budget, Self::Loop];

    /// The kernel's own signal for it; a policy that lists it in `signals` permits whatever answer it names.
    #[must_use]
    pub fn signal(self) -> AnswerSignal {
        match self {
            Self::Refused | Self::Tripwire => AnswerSignal::SigPolicy,
            Self::Budget => AnswerSignal::SigBudget,
            Self::Loop => AnswerSignal::SigLoop,
        }
    }
}

/// The answers of one agent's policy, with all that narrows it.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// The operator's.
    mode: Mode,
    /// The strictest of all narrowing layers; the mildest if none says anything.
    narrowed: Mode,
    /// What the operator lists, and that with what layers add; nothing is listed when everything may be answered.
    listed: Option<[BTreeSet<AnswerSignal>; 2]>,
    refused: Option<Answer>,
    tripwire: Option<Answer>,
    budget: Option<Answer>,
    repeated: Option<Answer>,
}

impl Answers {
    pub(crate) fn of(mediation: &Mediation) -> Self {
        let value = |rule: &Option<crate::Rule<Answer>>| rule.as_ref().map(|rule| rule.value);
        Self {
            mode: mediation.mode.as_ref().map_or(Mode::default(), |rule| rule.value),
            narrowed: Mode::Audit,
            listed: mediation.signals.as_ref().map(|rule| {
                let signals: BTreeSet<AnswerSignal> = rule.value.iter().copied().collect();
                [signals.clone(), signals]
            }),
            refused: value(&mediation.on_violation),
            tripwire: value(&mediation.on_tripwire),
            budget: value(&mediation.on_budget),
            repeated: value(&mediation.on_loop),
        }
    }

    /// Takes a layer in. An answer more is a power more for the kernel, never for the agent.
    pub(crate) fn narrow(&mut self, by: &Narrowing) {
        self.narrowed = self.narrowed.max(by.mode().unwrap_or(self.narrowed));
        self.listed.iter_mut().for_each(|[_, all]| all.extend(by.signals()));
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode.max(self.narrowed)
    }

    pub(crate) fn signals(&self) -> Option<&BTreeSet<AnswerSignal>> {
        self.listed.as_ref().map(|[_, all]| all)
    }

    pub(crate) fn to(&self, act: ForbiddenAct) -> Answer {
        let forbidden = |written: Option<Answer>| match self.mode() {
            Mode::Audit => Answer::Deny,
            // What the operator has written is never made milder by a layer, and stands unless one is stricter.
            _ => written.unwrap_or_else(|| by_mode(self.mode)).max(by_mode(self.narrowed)),
        };
        let answer = match act {
            ForbiddenAct::Refused => forbidden(self.refused),
            ForbiddenAct::Tripwire => forbidden(self.tripwire.or(self.refused)),
            ForbiddenAct::Budget => self.budget.unwrap_or(Answer::Kill),
            ForbiddenAct::Loop => self.repeated.unwrap_or(Answer::Stop),
        };
        // A layer that lists a milder answer takes nothing from what the operator's own list comes to.
        let permitted = self.listed.iter().flatten().map(|signals| permitted(answer, act, signals)).max();
        permitted.unwrap_or(answer)
    }
}

/// The answer, or the next milder one that is listed.
fn permitted(answer: Answer, act: ForbiddenAct, signals: &BTreeSet<AnswerSignal>) -> Answer {
    let listed = |signal| signals.contains(&signal) || signals.contains(&act.signal());
    match (answer, act) {
        (Answer::Kill, _) if listed(AnswerSignal::SigKill) => Answer::Kill,
        (Answer::Kill | Answer::Stop, _) if listed(AnswerSignal::SigStop) => Answer::Stop,
        // A limit without any answer would be none.
        (_, ForbiddenAct::Budget) => answer,
        _ => Answer::Deny,
    }
}

fn by_mode(mode: Mode) -> Answer {
    if mode == Mode::Strict { Answer::Kill } else { Answer::Deny }
}
