//! Where a rule stands.

use std::fmt;
use std::sync::Arc;

/// The file and line on which a rule stands, for the operator's eyes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The name of the file or profile as its loader gave it.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something that a policy says, and where it says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule<T> {
    /// What is said.
    pub value: T,
    /// Where it is said.
    pub origin: Origin,
}
