//! What is decided, and why.

use std::fmt;

use serde::Deserialize;

use crate::mediation::{Effect, Filter, Rate};
use crate::origin::Origin;
use crate::size::Size;

/// The answer to a request. Whoever carries it out keeps to the obligations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a decision that nobody looks at protects nothing"]
pub struct Decision<'t> {
    /// Whether it may be done.
    pub effect: Effect,
    /// Why.
    pub reason: Reason,
    /// The rule that decided; none if no rule says anything of the request.
    pub rule: Option<DecidingRule<'t>>,
    /// Under which conditions it may be done; none when it is refused.
    pub obligations: Obligations<'t>,
}

/// Why a request was answered as it was. The words are an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A rule allows it and nothing speaks against it.
    Granted,
    /// A rule wants a person's approval.
    ApprovalRequired,
    /// No rule allows it.
    NothingGranted,
    /// A rule denies it.
    DeniedByRule,
    /// A narrowing layer allows other requests for the action and not this one.
    NotInLayer,
    /// It would change something where only reading is allowed.
    ReadOnly,
    /// It is larger than allowed.
    TooLarge,
    /// There is no such action.
    UnknownAction,
    /// The request lacks what its action must have.
    IncompleteRequest,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Granted,
        Self::ApprovalRequired,
        Self::NothingGranted,
        Self::DeniedByRule,
        Self::NotInLayer,
        Self::ReadOnly,
        Self::TooLarge,
        Self::UnknownAction,
        Self::IncompleteRequest,
    ];

    /// The word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::ApprovalRequired => "approval_required",
            Self::NothingGranted => "nothing_granted",
            Self::DeniedByRule => "denied_by_rule",
            Self::NotInLayer => "not_in_layer",
            Self::ReadOnly => "read_only",
            Self::TooLarge => "too_large",
            Self::UnknownAction => "unknown_action",
            Self::IncompleteRequest => "incomplete_request",
        }
    }

    /// The same for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Granted => "a rule allows it and nothing speaks against it",
            Self::ApprovalRequired => "a person has to approve it",
            Self::NothingGranted => "no rule allows it",
            Self::DeniedByRule => "a rule denies it",
            Self::NotInLayer => "a narrowing policy allows other requests for the action, and not this one",
            Self::ReadOnly => "it would change something where only reading is allowed",
            Self::TooLarge => "it is larger than allowed",
            Self::UnknownAction => "there is no such action",
            Self::IncompleteRequest => "the request lacks what its action must have",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A rule, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecidingRule<'t> {
    /// The policy, file or built-in narrowing that it belongs to.
    pub layer: &'t str,
    /// The rule as it would be written; the same for rules that say the same.
    pub text: &'t str,
    /// Its file and line.
    pub origin: &'t Origin,
}

impl fmt::Display for DecidingRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.origin)
    }
}

/// What comes with an answer that is no refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obligations<'t> {
    /// It may change nothing: a database is opened for reading.
    pub read_only: bool,
    /// What is taken out of the data.
    pub filters: Filters,
    /// The most bytes, however many the request spoke of.
    pub max_bytes: Option<Size>,
    /// How often it may be done; all of them hold, each with a count of its own.
    pub budgets: Vec<Budget<'t>>,
}

/// How often what a rule allows may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget<'t> {
    /// Whose count it is: that of the layer and the rule's text.
    pub rule: DecidingRule<'t>,
    /// How often in how long.
    pub rate: Option<Rate>,
    /// How often in an agent's life.
    pub count: Option<u32>,
}

/// A set of filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filters(u8);

impl Filters {
    /// The set of these.
    #[must_use]
    pub fn of(filters: &[Filter]) -> Self {
        Self(filters.iter().fold(0, |set, filter| set | bit(*filter)))
    }

    /// Whether `filter` is in it.
    #[must_use]
    pub fn contains(self, filter: Filter) -> bool {
        self.0 & bit(filter) != 0
    }

    /// Those of both sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in it.
    pub fn iter(self) -> impl Iterator<Item = Filter> {
        [Filter::Pii].into_iter().filter(move |filter| self.contains(*filter))
    }
}

fn bit(filter: Filter) -> u8 {
    match filter {
        Filter::Pii => 1,
    }
}

impl<'t> Decision<'t> {
    /// An answer that no rule gave.
    pub(crate) fn refused(reason: Reason) -> Self {
        Self { effect: Effect::Deny, reason, rule: None, obligations: Obligations::default() }
    }

    /// Adds a further layer's or path's answer: the strictest stands, of equal ones the first; obligations add up.
    pub(crate) fn restrict(&mut self, other: Self) {
        if other.effect > self.effect {
            (self.effect, self.reason, self.rule) = (other.effect, other.reason, other.rule);
        }
        if self.effect == Effect::Deny {
            self.obligations = Obligations::default();
            return;
        }
        let (own, others) = (&mut self.obligations, other.obligations);
        own.read_only |= others.read_only;
        own.filters = own.filters.union(others.filters);
        own.max_bytes = own.max_bytes.into_iter().chain(others.max_bytes).min();
        for budget in others.budgets {
            if !own.budgets.contains(&budget) {
                own.budgets.push(budget);
            }
        }
    }
}
