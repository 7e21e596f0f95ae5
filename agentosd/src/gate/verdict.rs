//! Verdicts. Only [`super::Gate`] makes one, out of a record that is on disk.

use policies::{AccessRequest, Decision, Effect, Filter, Rate, Reason, RequestWords, Table};
use protocol::action::RefusalReason;
use protocol::audit::{AgentRef, Answer, Kind, Record, StoppedBy};
use protocol::event::Caller;
use trust::log::Sealed;

/// Characters of a refusal's message in a record.
const MOST_MESSAGE: usize = 300;
/// Bytes of a request's words in a record, escaped at worst six times as long.
const MOST_WORDS: usize = 1 << 10;

/// What may happen.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It may be done, once.
    Allowed(Permit),
    /// A person is to be asked.
    Held,
    /// It is not done.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The record's number.
        seq: u64,
    },
}

/// The right to do one thing once: not copied, and made of a sealed record.
#[derive(Debug)]
pub(crate) struct Permit {
    terms: Allowed,
    sealed: Sealed,
}

impl Permit {
    pub(super) fn sealed(terms: Allowed, sealed: Sealed) -> Self {
        Self { terms, sealed }
    }

    /// Within what it may be done.
    pub(crate) fn terms(&self) -> &Allowed {
        &self.terms
    }

    /// The record's number.
    pub(crate) fn seq(&self) -> u64 {
        self.sealed.seq()
    }
}

/// What was decided, before it is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Terms {
    /// It may be done.
    Allow(Allowed),
    /// A person is to be asked.
    Hold(Allowed),
    /// It may not.
    Deny(Refusal),
}

/// What comes with an answer that is no refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// The rule, with its place.
    pub(crate) rule: Option<String>,
    /// Nothing may be changed.
    pub(crate) read_only: bool,
    /// Personal data is taken out.
    pub(crate) filters_pii: bool,
    /// Most bytes.
    pub(crate) max_bytes: Option<u64>,
    /// How often: whose count it is, how often in how long, and in all.
    pub(crate) budgets: Vec<Budget>,
}

/// How often what a rule allows may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Whose count it is.
    pub(crate) rule: String,
    /// How often in how long.
    pub(crate) rate: Option<Rate>,
    /// How often in all.
    pub(crate) count: Option<u32>,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// For programs.
    pub(crate) reason: RefusalReason,
    /// For people.
    pub(crate) message: String,
    /// The rule that decided, with its place.
    pub(crate) rule: Option<String>,
    /// The layer that refused.
    pub(crate) stopped_by: StoppedBy,
}

impl Refusal {
    /// One without a rule.
    pub(crate) fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), rule: None, stopped_by: StoppedBy::Policy }
    }
}

impl Terms {
    /// What the table says. No mode lets through what it refuses.
    pub(crate) fn of(table: &Table, request: &AccessRequest) -> Self {
        let decision = table.decide(request);
        match decision.effect {
            Effect::Allow => Self::Allow(Allowed::of(&decision)),
            Effect::RequireApproval => Self::Hold(Allowed::of(&decision)),
            Effect::Deny => Self::Deny(refusal(&decision)),
        }
    }
}

impl Allowed {
    fn of(decision: &Decision<'_>) -> Self {
        let obligations = &decision.obligations;
        let budgets = obligations.budgets.iter().map(|budget| Budget {
            rule: budget.rule.to_string(),
            rate: budget.rate,
            count: budget.count,
        });
        Self {
            rule: decision.rule.map(|rule| rule.to_string()),
            read_only: obligations.read_only,
            filters_pii: obligations.filters.contains(Filter::Pii),
            max_bytes: obligations.max_bytes.map(policies::Size::bytes),
            budgets: budgets.collect(),
        }
    }
}

fn refusal(decision: &Decision<'_>) -> Refusal {
    let reason = match decision.reason {
        Reason::DeniedByRule => RefusalReason::DeniedByRule,
        Reason::NotInLayer => RefusalReason::NotInLayer,
        Reason::ReadOnly => RefusalReason::ReadOnly,
        Reason::TooLarge => RefusalReason::TooLarge,
        Reason::UnknownAction => RefusalReason::UnknownAction,
        Reason::IncompleteRequest => RefusalReason::IncompleteRequest,
        // The first two are no refusals; should they come here, nothing is granted by them.
        Reason::Granted | Reason::ApprovalRequired | Reason::NothingGranted => RefusalReason::NothingGranted,
    };
    let rule = decision.rule.map(|rule| rule.to_string());
    Refusal { reason, message: decision.reason.sentence().to_owned(), rule, stopped_by: StoppedBy::Policy }
}

/// What the record of a decision says besides the decision.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// Whose request.
    pub(crate) agent: Option<AgentRef>,
    /// Who asked, when not the agent.
    pub(crate) by: Option<Caller>,
    /// In words.
    pub(crate) attempted: String,
    /// The action.
    pub(crate) action: String,
    /// The request's name.
    pub(crate) request_id: String,
    /// What is decided about.
    pub(crate) request: Option<AccessRequest>,
    /// The action's digest.
    pub(crate) digest: Option<String>,
    /// The policy's digest.
    pub(crate) policy_digest: Option<String>,
    /// What the caller claimed.
    pub(crate) without_effect: Vec<String>,
    /// The process that asked.
    pub(crate) pid: Option<i32>,
    /// An approval that is used.
    pub(crate) approval: Option<String>,
}

impl About {
    pub(super) fn record(&self, terms: &Terms) -> Record {
        let mut record = Record::new(Kind::Decision, self.attempted.clone());
        record.agent.clone_from(&self.agent);
        record.by = self.by;
        record.pid = self.pid;
        record.request_id = Some(self.request_id.clone());
        record.action = Some(self.action.clone());
        record.request = self.request.as_ref().map(words).unwrap_or_default();
        record.action_digest.clone_from(&self.digest);
        record.policy_digest.clone_from(&self.policy_digest);
        record.without_effect.clone_from(&self.without_effect);
        record.approval.clone_from(&self.approval);
        let refused = match terms {
            Terms::Allow(allowed) => {
                record.decision = Some(Answer::Allow);
                record.rule.clone_from(&allowed.rule);
                None
            }
            Terms::Hold(allowed) => {
                record.decision = Some(Answer::Hold);
                record.rule.clone_from(&allowed.rule);
                record.stopped_by = Some(StoppedBy::Approval);
                None
            }
            Terms::Deny(refusal) => {
                record.decision = Some(Answer::Deny);
                record.stopped_by = Some(refusal.stopped_by);
                Some(refusal)
            }
        };
        if let Some(refusal) = refused {
            record.rule.clone_from(&refusal.rule);
            record.reason = Some(refusal.reason.word().to_owned());
            record.outcome = Some(crate::action::cut(&refusal.message, MOST_MESSAGE));
        }
        record
    }
}

/// The request in the words of `agentctl policy explain`; none when they would make the record too long.
fn words(request: &AccessRequest) -> Vec<String> {
    let words = RequestWords::spell(request).unwrap_or_default();
    let length: usize = words.iter().map(String::len).sum();
    if length > MOST_WORDS { Vec::new() } else { words }
}

impl Verdict {
    /// The only way to one.
    pub(super) fn sealed(terms: Terms, sealed: Sealed) -> Self {
        match terms {
            Terms::Allow(terms) => Self::Allowed(Permit { terms, sealed }),
            Terms::Hold(_) => Self::Held,
            Terms::Deny(refusal) => Self::Refused { refusal, seq: sealed.seq() },
        }
    }
}
