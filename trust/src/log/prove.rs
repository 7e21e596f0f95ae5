//! Proofs out of the files. Read are the segments from the one that is asked about up to the checkpoint; what is before, also
//! what was removed, is in the first one's header.

use super::directory::Directory;
use super::error::ReadError;
use super::lines::Lines;
use super::verify::read_checkpoints;
use crate::format::{Finding, Header, Place, Problem, Record};
use crate::note::{Signed, VerifyingKey};
use crate::proofs::{Consistency, Inclusion};
use crate::tree::{self, Hash, Nodes, ProofError};
use std::ops::Range;
use std::path::Path;

/// Why something cannot be proved.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The log cannot be read, or is not as it was written.
    #[error("prove")]
    Read(#[from] ReadError),
    /// Nothing is signed that covers it.
    #[error("prove {what}: no checkpoint of the log has {wanted}; sizes that are signed: {signed}")]
    Unsigned {
        /// What.
        what: String,
        /// Which.
        wanted: String,
        /// What there is, for people.
        signed: String,
    },
    /// It makes no sense.
    #[error("prove")]
    Proof(#[from] ProofError),
}

/// Proves that record `seq` is in the log: in the tree of the first checkpoint that covers it, or in that of `size`, which must
/// be one of a checkpoint. Returns the record, too.
///
/// # Errors
/// [`ProveError`].
pub fn prove_inclusion(
    directory: &Path,
    key: &VerifyingKey,
    seq: u64,
    size: Option<u64>,
) -> Result<(Inclusion, Record), ProveError> {
    let directory = Directory::at(directory);
    let notes = read_checkpoints(&directory, key)?.notes;
    let found =
        notes.iter().find(|note| size.map_or(note.checkpoint().size > seq, |size| note.checkpoint().size == size));
    let wanted = || size.map_or(format!("more than {seq} records"), |size| format!("{size} records"));
    let checkpoint = found.ok_or_else(|| unsigned(&format!("record {seq}"), wanted(), &notes))?.clone();
    let ranges = tree::inclusion(seq, checkpoint.checkpoint().size)?;
    let mut record = None;
    let path = walk(&directory, seq, (&ranges, &checkpoint), |at, line| {
        if at == seq {
            record = Some(Record::parse(line));
        }
    })?;
    let proof = Inclusion { index: seq, path, checkpoint };
    match record {
        Some(Ok(record)) => {
            proof.verify(record.line().as_bytes())?;
            Ok((proof, record))
        }
        Some(Err(error)) => Err(ReadError::Damaged(Finding::new(unknown(seq), Problem::Record(error))).into()),
        None => Err(ProofError::Outside { index: seq, size: proof.checkpoint.checkpoint().size }.into()),
    }
}

/// Proves that the log of the latest checkpoint, or of that of `size`, begins with its first `old` records.
///
/// # Errors
/// [`ProveError`]; what was removed by retention cannot be an `old` log any more.
pub fn prove_consistency(
    directory: &Path,
    key: &VerifyingKey,
    old: u64,
    size: Option<u64>,
) -> Result<Consistency, ProveError> {
    let directory = Directory::at(directory);
    let notes = read_checkpoints(&directory, key)?.notes;
    let found = size.map_or(notes.last(), |size| notes.iter().find(|note| note.checkpoint().size == size));
    let wanted = || size.map_or_else(|| "any".to_owned(), |size| format!("{size} records"));
    let checkpoint = found.ok_or_else(|| unsigned("consistency", wanted(), &notes))?.clone();
    let ranges = tree::consistency(old, checkpoint.checkpoint().size)?;
    let path = walk(&directory, old, (&ranges, &checkpoint), |_, _| ())?;
    Ok(Consistency { old, path, checkpoint })
}

/// Finds the hashes of `ranges` in the log up to `checkpoint`, all of which lie in what the segment of `from` begins with or
/// after it; and compares the root. `see` gets each line that is read.
fn walk(
    directory: &Directory,
    from: u64,
    (ranges, checkpoint): (&[Range<u64>], &Signed),
    mut see: impl FnMut(u64, &[u8]),
) -> Result<Vec<Hash>, ProveError> {
    let end = checkpoint.checkpoint();
    let segments = directory.segments()?;
    let none = || ReadError::None { path: directory.path().to_owned() };
    let begin = segments.partition_point(|first| *first <= from).checked_sub(1).ok_or_else(|| {
        segments.first().map_or_else(none, |oldest| ReadError::Retired { seq: from, oldest: *oldest })
    })?;
    let mut nodes: Option<Nodes> = None;
    for first in &segments[begin..] {
        let mut lines = Lines::open(&directory.segment(*first))?;
        let header = Header::parse(lines.next()?.unwrap_or_default());
        let place = Place { segment: Some(*first), line: 1, seq: None };
        let damaged = |problem| ReadError::Damaged(Finding::new(place, problem));
        let header = header.map_err(|error| damaged(Problem::Header(error)))?;
        let nodes = nodes.get_or_insert_with(|| Nodes::new(ranges, &header.before));
        if header.before != *nodes.tree() {
            let expected = Header { origin: header.origin, before: nodes.tree().clone() }.line();
            return Err(damaged(Problem::Frontier { expected }).into());
        }
        while nodes.tree().size() < end.size
            && let Some(line) = lines.next()?
        {
            see(nodes.tree().size(), line);
            nodes.push(Hash::leaf(line));
        }
        if nodes.tree().size() >= end.size {
            break;
        }
    }
    let nodes = nodes.ok_or_else(none)?;
    let (found, root) = (nodes.tree().size(), nodes.tree().root());
    let problem = match found == end.size {
        true if root == end.root => None,
        true => Some(Problem::Root { since: segments[begin], size: found, expected: end.root, found: root }),
        false => Some(Problem::Truncated { expected: end.size, found }),
    };
    match (problem, nodes.finish()) {
        (None, Some(path)) => Ok(path),
        (problem, _) => {
            let problem = problem.unwrap_or(Problem::Truncated { expected: end.size, found });
            Err(ReadError::Damaged(Finding::new(unknown(found), problem)).into())
        }
    }
}

/// The place of a record whose line was not counted.
fn unknown(seq: u64) -> Place {
    Place { segment: None, line: 0, seq: Some(seq) }
}

fn unsigned(what: &str, wanted: String, notes: &[Signed]) -> ProveError {
    let sizes: Vec<_> = notes.iter().rev().take(8).map(|note| note.checkpoint().size.to_string()).collect();
    let signed = if sizes.is_empty() { "none".to_owned() } else { format!("{}, newest first", sizes.join(", ")) };
    ProveError::Unsigned { what: what.to_owned(), wanted, signed }
}

impl From<super::FileError> for ProveError {
    fn from(error: super::FileError) -> Self {
        Self::Read(error.into())
    }
}
