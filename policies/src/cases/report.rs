//! What came of a table of cases.

use std::fmt;

use crate::origin::Origin;

/// What came of the cases of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseReport {
    /// How many were answered as expected.
    pub passed: usize,
    /// Those that were not.
    pub failures: Vec<CaseFailure>,
    /// The rules about actions, each with its place, that matched in no case.
    pub untried: Vec<String>,
}

/// A case that was not answered as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFailure {
    /// Where the case stands.
    pub origin: Origin,
    /// The case: what is asked, and what was expected.
    pub words: String,
    /// What was answered.
    pub got: String,
    /// How the answer came about, over several lines.
    pub explanation: String,
}

impl CaseReport {
    pub(crate) fn add(&mut self, failure: Option<CaseFailure>) {
        match failure {
            Some(failure) => self.failures.push(failure),
            None => self.passed += 1,
        }
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "{failure}")?;
        }
        for rule in &self.untried {
            writeln!(f, "no case tries {rule}")?;
        }
        writeln!(f, "{} passed, {} failed", self.passed, self.failures.len())
    }
}

impl fmt::Display for CaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.origin, self.words)?;
        writeln!(f, "  answered: {}", self.got)?;
        self.explanation.lines().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
