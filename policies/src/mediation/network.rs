//! Destinations: hosts, ports and methods.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::origin::Origin;
use crate::scalar::{ScalarError, Word, deserialize_as_word};
use crate::schema::present;

/// One entry of `network`: a destination.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkEntry {
    pub(crate) host: HostPattern,
    pub(crate) ports: Vec<Port>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) methods: Option<Vec<Method>>,
}

/// Where the agent's own connections may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRule {
    /// To which hosts.
    pub host: HostPattern,
    /// To which of their ports.
    pub ports: Vec<Port>,
    /// With which HTTP methods. None: any, and any protocol.
    pub methods: Option<Vec<Method>>,
    /// Where the rule stands.
    pub origin: Origin,
}

/// A host's name in lower case, or `*.` and a name for everything beneath it but not the name itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern(String);

impl HostPattern {
    /// The name, and whether it stands for what is beneath it instead of for itself.
    #[must_use]
    pub fn parts(&self) -> (&str, bool) {
        self.0.strip_prefix("*.").map_or((&self.0, false), |name| (name, true))
    }

    /// Whether `host`, in lower case and without a final dot, is meant.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self.parts() {
            (name, false) => host == name,
            (name, true) => host.strip_suffix(name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }
}

impl Word for HostPattern {
    const EXPECTED: &'static str = "a host name, such as api.example.com or \"*.example.org\"";
}

impl FromStr for HostPattern {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(ScalarError::new(format!(
                "`{text}` is not a host name (a `*.` may only stand at its beginning)"
            )));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A port, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(u16);

impl Port {
    /// The number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

impl Word for Port {
    const EXPECTED: &'static str = "a port from 1 to 65535";
}

impl FromStr for Port {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        match text.parse() {
            Ok(port @ 1..) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(Self(port)),
            _ => Err(ScalarError::new(format!("`{text}` is not a port: write a number from 1 to 65535"))),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A method of HTTP (RFC 9110, RFC 5789).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "HTTP's own names")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    /// Every method of the language.
    pub const ALL: [Self; 7] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Options];

    /// Whether it only reads. OPTIONS is safe by RFC 9110 as well, but no read needs it.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_ascii_uppercase())
    }
}

deserialize_as_word!(HostPattern, Port);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_what_is_beneath_a_name_and_not_for_the_name() {
        let pattern: HostPattern = "*.Example.org".parse().expect("legal");
        for (host, matches) in [
            ("a.example.org", true),
            ("a.b.example.org", true),
            ("example.org", false),
            (".example.org", false),
            ("evilexample.org", false),
            ("a.example.org.evil.com", false),
        ] {
            assert_eq!(pattern.matches(host), matches, "{host}");
        }
    }
}
