//! Tables of cases: what a policy is meant to answer, kept beside it and compared with what it does answer.
//!
//! ```text
//!   text ── CaseTable::read ──► CaseTable ── run (+ Effective) ──► CaseReport: passed, failures with the reason, rules
//!                                                                 that no case has tried
//! ```
//!
//! A case is a request and the expected answer; a view is a path and what the agent sees there. `docs/policy.md`
//! describes the format.

mod entry;
mod report;
mod run;
mod table;

pub use entry::{RequestWords, WordsError};
pub use report::{CaseFailure, CaseReport};
pub use run::CaseError;
pub use table::{CaseTable, shipped_cases};

#[cfg(test)]
pub(crate) use entry::{HostWord, LayerName, PathWord, TextWord};
#[cfg(test)]
pub(crate) use table::CaseFile;
