//! The keys by which requests are mediated: `kernel`, `signals`, `policies`, `actions`, `network`, `on_violation`.
//!
//! They are read strictly, so that a policy with a mistake in them never loads. What they come to is compiled into a
//! [`crate::Table`], which decides; until the daemon asks one, an effective policy lists them as not enforced.

mod action;
mod check;
mod merge;
mod network;
mod pattern;
mod rule;
mod show;
mod terms;
mod words;

pub use action::{ActionName, ActionPattern, Kind, Param, ParamType, RegisteredAction};
pub use network::{HostPattern, Method, NetworkRule, Port};
pub use pattern::{NamePattern, PathPattern};
pub use rule::{ActionRule, Argv, Conditions};
pub use terms::{Condition, Effect, Filter, Statement};
pub use words::Rate;

pub(crate) use action::{ActionEntry, CommandWord};
pub(crate) use check::{check, check_names, check_names_of, registered};
pub(crate) use network::NetworkEntry;
#[cfg(test)]
pub(crate) use rule::ArgvWord;
pub(crate) use rule::RuleEntry;

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::origin::Rule;
use crate::scalar::{ScalarError, Word, deserialize_as_word};
use crate::schema::present;

/// `kernel`: the version of the language and how strictly violations are answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    #[expect(dead_code, reason = "there is one version, and reading it has compared it")]
    version: Version,
    #[serde(default, deserialize_with = "present")]
    pub(crate) mode: Option<Spanned<Mode>>,
}

/// The one version of the language that there is.
#[derive(Clone, Debug)]
pub(crate) struct Version;

impl Word for Version {
    const EXPECTED: &'static str = "the version \"1.0\"";
}

impl FromStr for Version {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        match text {
            "1.0" => Ok(Self),
            _ => {
                Err(ScalarError::new(format!("`{text}` is not a known version of the policy language: write \"1.0\"")))
            }
        }
    }
}

/// How a forbidden act is answered, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is recorded.
    Audit,
    /// It is refused. What holds where no policy says anything.
    #[default]
    Permissive,
    /// The agent is killed.
    Strict,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audit => "audit",
            Self::Permissive => "permissive",
            Self::Strict => "strict",
        })
    }
}

/// A signal that a policy may name as an answer of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are Linux's and, from SigPolicy on, those of docs/policy.md")]
pub enum AnswerSignal {
    SigInt,
    SigTerm,
    SigHup,
    SigUsr1,
    SigUsr2,
    SigKill,
    SigStop,
    SigCont,
    SigPolicy,
    SigTrust,
    SigBudget,
    SigLoop,
    SigDrift,
}

impl fmt::Display for AnswerSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_ascii_uppercase())
    }
}

/// `on_violation`, as far as one file sets it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnViolationEntries {
    #[serde(default, deserialize_with = "present")]
    pub(crate) default: Option<Spanned<Answer>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) tripwires: Option<Spanned<Answer>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) budgets: Option<Spanned<BudgetAnswer>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) loops: Option<Spanned<Answer>>,
}

/// The answer to a spent budget. It cannot be a mere refusal: time that has been used is not given back by one.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) enum BudgetAnswer {
    #[serde(rename = "SIGSTOP")]
    Stop,
    #[serde(rename = "SIGKILL")]
    Kill,
}

impl From<BudgetAnswer> for Answer {
    fn from(answer: BudgetAnswer) -> Self {
        match answer {
            BudgetAnswer::Stop => Self::Stop,
            BudgetAnswer::Kill => Self::Kill,
        }
    }
}

/// The answer to a forbidden act of one sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Answer {
    /// It is refused.
    #[serde(rename = "deny")]
    Deny,
    /// The agent is stopped for somebody to look.
    #[serde(rename = "SIGSTOP")]
    Stop,
    /// The agent is killed.
    #[serde(rename = "SIGKILL")]
    Kill,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deny => "deny",
            Self::Stop => "SIGSTOP",
            Self::Kill => "SIGKILL",
        })
    }
}

/// What an effective policy says of requests: plain data from which a [`crate::Table`] is compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mediation {
    /// `kernel.mode`.
    pub mode: Option<Rule<Mode>>,
    /// The answers that the kernel may give. None: all.
    pub signals: Option<Rule<Vec<AnswerSignal>>>,
    /// The rules about actions, of all files; their order means nothing.
    pub rules: Vec<ActionRule>,
    /// Commands that the operator has registered as actions, one a name.
    pub actions: Vec<RegisteredAction>,
    /// Where the agent's own connections may go.
    pub network: Vec<NetworkRule>,
    /// The answer to a forbidden act.
    pub on_violation: Option<Rule<Answer>>,
    /// The answer to touching what only a hostile agent would.
    pub on_tripwire: Option<Rule<Answer>>,
    /// The answer to a spent budget: stopped or killed.
    pub on_budget: Option<Rule<Answer>>,
    /// The answer to asking for the same once more than [`crate::Limits::repeats`] allows.
    pub on_loop: Option<Rule<Answer>>,
}

impl Mediation {
    /// What `on_violation` says, by its keys.
    pub(crate) fn answers(&self) -> [(&'static str, Option<&Rule<Answer>>); 4] {
        [
            ("default", self.on_violation.as_ref()),
            ("tripwires", self.on_tripwire.as_ref()),
            ("budgets", self.on_budget.as_ref()),
            ("loops", self.on_loop.as_ref()),
        ]
    }
}

deserialize_as_word!(Version);
