//! Names and identities, parsed once at the border.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The name an operator gives an agent: 1 to 63 characters of `a-z 0-9 . _ -`, the first a letter or digit.
///
/// It is a path component (`/run/agentos/agents/NAME`) and a host name inside the agent, hence the narrow alphabet.
///
/// ```
/// use protocol::ids::AgentName;
/// assert!(AgentName::parse("coder-1").is_ok());
/// assert!(AgentName::parse("../etc").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentName(String);

/// A text that is no agent name, and what a name looks like.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{given:?} is no agent name: expected 1 to 63 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit"
)]
pub struct BadName {
    given: String,
}

impl AgentName {
    /// Longest name, in bytes; what fits a host name label.
    pub const MAX: usize = 63;

    /// Parses a name.
    ///
    /// # Errors
    /// [`BadName`] when the text is outside the alphabet or the length.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = !text.is_empty()
            && text.len() <= Self::MAX
            && text.starts_with(lower)
            && text.chars().all(|c| lower(c) || matches!(c, '.' | '_' | '-'));
        if good { Ok(Self(text.to_owned())) } else { Err(BadName { given: text.chars().take(80).collect() }) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AgentName {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        Self::parse(&text)
    }
}

impl From<AgentName> for String {
    fn from(name: AgentName) -> Self {
        name.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One run of an agent: a number that the daemon never gives twice on one state directory.
///
/// A name may be used again after `rm`; the id may not, so records of different runs never mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub u64);

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeUs(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_path_components_and_host_names() {
        for good in ["a", "0", "coder-1", "a.b_c", &"x".repeat(63)] {
            assert!(AgentName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "A", "a/b", "a b", "ä", "a\0", &"x".repeat(64)] {
            assert!(AgentName::parse(bad).is_err(), "{bad}");
        }
    }
}
