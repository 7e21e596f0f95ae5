//! What a verifier finds, and where.

use super::{HeaderError, RecordError, segment_name};
use crate::note::CheckpointError;
use crate::tree::Hash;
use std::fmt;

/// Where something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment by its first record; `None` for the file of checkpoints.
    pub segment: Option<u64>,
    /// Counted from 1; 0 for the file as a whole.
    pub line: u64,
    /// The record, where one is meant.
    pub seq: Option<u64>,
}

impl Place {
    pub(crate) fn checkpoints(line: u64) -> Self {
        Self { segment: None, line, seq: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.segment {
            Some(first) => f.write_str(&segment_name(first))?,
            None => f.write_str("checkpoints")?,
        }
        if self.line > 0 {
            write!(f, ", line {}", self.line)?;
        }
        self.seq.map_or(Ok(()), |seq| write!(f, ", record {seq}"))
    }
}

/// The first thing that is wrong with a log, and where.
#[derive(Debug, thiserror::Error)]
#[error("{place}")]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What, and what was expected.
    #[source]
    pub problem: Box<Problem>,
}

impl Finding {
    pub(crate) fn new(place: Place, problem: Problem) -> Self {
        Self { place, problem: Box::new(problem) }
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A line is no record: changed, or written by something else.
    #[error("the line is no record")]
    Record(#[source] RecordError),
    /// The first line is no header.
    #[error("the line is no header of a segment")]
    Header(#[source] HeaderError),
    /// Another number than the next: records are missing, doubled, or in another order.
    #[error("expected record {expected} and found {found}: records were removed, repeated or reordered")]
    Sequence {
        /// The next.
        expected: u64,
        /// As written.
        found: u64,
    },
    /// The chain from record to record is broken.
    #[error(
        "the record before has the hash {expected}, and this one was written after one with {found}: one of the two was \
         changed, or is of another log"
    )]
    Chain {
        /// Of the line before.
        expected: Hash,
        /// `prev` of this line.
        found: String,
    },
    /// Records are missing between two segments: a segment was removed or cut.
    #[error("records {expected} to {last} are missing: a segment was removed or cut off", last = found.saturating_sub(1))]
    Missing {
        /// The next record.
        expected: u64,
        /// The first of the segment.
        found: u64,
    },
    /// A segment begins with a record that was there already, or its name says another number.
    #[error("expected a segment that begins with record {expected} and found {found}: it was replayed, or renamed")]
    Misplaced {
        /// By the name, or after the segment before.
        expected: u64,
        /// By the header.
        found: u64,
    },
    /// The segment is of another log.
    #[error("the segment is of the log {found:?} and not of {expected:?}")]
    Foreign {
        /// The key's.
        expected: String,
        /// As written.
        found: String,
    },
    /// The header says another tree than the records before it have.
    #[error("the segment was written after other records than those before it: expected the header {expected:?}")]
    Frontier {
        /// What follows from the records before.
        expected: String,
    },
    /// The oldest segments are gone, and not by retention.
    #[error("records {oldest} to {last} are missing: the checkpoint says that all from {oldest} on are kept", last = found - 1)]
    Oldest {
        /// As signed.
        oldest: u64,
        /// The first that is there.
        found: u64,
    },
    /// Records between two checkpoints are not those that were signed.
    #[error(
        "records {since} to {last} are not those that were sealed: the tree of {size} records has the root {found}, and the \
         checkpoint says {expected}", last = size.saturating_sub(1)
    )]
    Root {
        /// All before it were found to be right.
        since: u64,
        /// The checkpoint's.
        size: u64,
        /// As signed.
        expected: Hash,
        /// As it follows from the records.
        found: Hash,
    },
    /// The log ends before a checkpoint.
    #[error("the log ends with {found} records, and a checkpoint says that there were {expected}: it was cut off")]
    Truncated {
        /// The checkpoint's size.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// A checkpoint is forged, changed, or of another log.
    #[error("the checkpoint was changed or forged")]
    Checkpoint(#[source] CheckpointError),
    /// A checkpoint older than the one before it.
    #[error(
        "the checkpoint of (size, oldest) {this:?} stands after that of {before:?}: they were reordered or repeated"
    )]
    Order {
        /// Size and oldest record of the one before.
        before: (u64, u64),
        /// Size and oldest record of this one.
        this: (u64, u64),
    },
    /// Something between two checkpoints.
    #[error("expected an empty line between checkpoints")]
    Separator,
    /// Bytes that are no text.
    #[error("the line is not UTF-8")]
    Encoding,
}
