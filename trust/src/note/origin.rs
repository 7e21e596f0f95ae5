//! The name of a log.

use std::fmt;
use std::str::FromStr;

/// The unique name of a log and of the key that signs for it, like a URL without the scheme: `host.example/agentos-audit`.
///
/// 1 to 200 printable ASCII characters without space, `+`, `"` and `\`: a signed note forbids the first two, and without the
/// others the name stands in JSON as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(String);

/// A text that cannot name a log.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{given:?} cannot name a log: expected 1 to 200 printable ASCII characters without space, '+', '\"' and '\\'")]
pub struct BadOrigin {
    given: String,
}

impl Origin {
    /// Longest name in bytes.
    pub const MAX: usize = 200;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = BadOrigin;
    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let good = |c: char| c.is_ascii_graphic() && !matches!(c, '+' | '"' | '\\');
        if (1..=Self::MAX).contains(&text.len()) && text.chars().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadOrigin { given: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
