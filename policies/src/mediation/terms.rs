//! The words by which rules and decisions speak: effects, conditions, sorts of statement, filters.

use std::fmt;

use serde::Deserialize;

/// What a rule says to a request, and a policy to it as a whole; from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It may be done.
    Allow,
    /// It may be done once a person has approved it.
    RequireApproval,
    /// It is refused.
    Deny,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::RequireApproval => "require_approval",
            Self::Deny => "deny",
        })
    }
}

/// What a database statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// It only reads.
    Read,
    /// It changes something, or nobody can say.
    Write,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// What is taken out of data before an agent gets it or sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Personal data: names, addresses, numbers of accounts and the like.
    Pii,
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pii => "pii",
        })
    }
}

/// What a rule can ask of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the keys of the language; docs/policy.md describes them")]
pub enum Condition {
    Paths,
    Exec,
    Argv,
    Hosts,
    Ports,
    Methods,
    Databases,
    Statements,
}

impl Condition {
    /// The key in the language.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Paths => "paths",
            Self::Exec => "exec",
            Self::Argv => "argv",
            Self::Hosts => "hosts",
            Self::Ports => "ports",
            Self::Methods => "methods",
            Self::Databases => "databases",
            Self::Statements => "statements",
        }
    }
}
