//! Policies that can only take away: an agent's own file, and the built-in ones that a request may name.

use std::collections::BTreeSet;

use crate::mediation::{AnswerSignal, Mediation, Mode};
use crate::origin::Rule;
use crate::parse::parse;

/// A layer that narrows what an operator's policy grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrowing {
    pub(crate) name: String,
    pub(crate) mediation: Mediation,
}

/// The built-in ones, in `policies/narrowing`.
const BUILT_IN: [(&str, &str); 3] = [
    ("read_only", include_str!("../narrowing/read_only.yaml")),
    ("no_pii", include_str!("../narrowing/no_pii.yaml")),
    ("strict", include_str!("../narrowing/strict.yaml")),
];

impl Narrowing {
    /// The names of the built-in ones.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The text of the built-in one of this name.
    #[must_use]
    pub fn built_in_text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// The built-in one of this name: `read_only`, `no_pii` or `strict`.
    ///
    /// ```
    /// assert!(policies::Narrowing::built_in("read_only").is_some());
    /// assert!(policies::Narrowing::built_in("all_powerful").is_none());
    /// ```
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let text = Self::built_in_text(name)?;
        // A test reads every one, so a text that is shipped is a text that parses.
        let document = parse(&format!("{name} (built-in)"), text).ok()?;
        let mut mediation = Mediation::default();
        mediation.add(&document);
        Some(Self { name: name.to_owned(), mediation })
    }

    /// The name of the file, or of the built-in one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says.
    #[must_use]
    pub fn mediation(&self) -> &Mediation {
        &self.mediation
    }

    pub(crate) fn mode(&self) -> Option<Mode> {
        self.mediation.mode.as_ref().map(|rule| rule.value)
    }

    pub(crate) fn signals(&self) -> BTreeSet<AnswerSignal> {
        self.mediation.signals.iter().flat_map(|Rule { value, .. }| value).copied().collect()
    }
}
