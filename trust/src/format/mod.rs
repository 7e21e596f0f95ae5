//! The lines of a segment file, and what is right of a whole log; `docs/audit-format.md` has it byte for byte. Pure.
//!
//! ```text
//!   {"format":"agentos-audit/1","origin":"…","first":1024,"frontier":["…"]}     header: not a leaf of the tree
//!   {"seq":1024,"time":1764060448123456789,"prev":"…","body":{…}}              record: the line with its newline is a leaf
//! ```

mod body;
mod check;
mod checkpoints;
mod header;
mod problem;
mod record;

pub use body::{Body, BodyError};
pub use check::{Checker, Report};
pub use checkpoints::{Checkpoints, checkpoints};
pub use header::{Header, HeaderError};
pub use problem::{Finding, Place, Problem};
pub use record::{Record, RecordError, TimeNs};

pub(crate) use record::{Line, write_line};

use crate::tree::Hash;

/// Longest line with its newline, in bytes: the longest body and what stands before it.
pub const MAX_LINE: usize = Body::MAX + 256;

/// The name of the segment file whose first record is `first`. Names sort as numbers do.
#[must_use]
pub fn segment_name(first: u64) -> String {
    format!("{first:020}.jsonl")
}

/// The first record of the segment file with that name; `None` for other files.
#[must_use]
pub fn segment_first(name: &str) -> Option<u64> {
    let first = name.strip_suffix(".jsonl")?.parse().ok()?;
    (segment_name(first) == name).then_some(first)
}

/// What the first record of a log has for the hash of the record before it: that of the empty tree.
#[must_use]
pub fn before_the_first() -> Hash {
    Hash::empty()
}
