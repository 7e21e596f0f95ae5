//! Opening a log for writing: whatever a crash has left becomes a whole log again, and whatever no crash leaves is refused.
//!
//! Read are the checkpoints and the last segment; what is before it was signed before that segment was begun. `verify` reads
//! everything.

use super::appended::Appended;
use super::directory::{CHECKPOINTS, Directory, open as open_file, read};
use super::error::{Failure, FileError, OpenError};
use super::keys;
use super::lines::Lines;
use super::notes::Notes;
use super::options::{Extent, Options};
use super::writer::{COMMIT_BYTES, Writer, begin_segment};
use crate::format::{Checker, Line, checkpoints, segment_name};
use crate::note::{Signed, SigningKey};
use crate::tree::Frontier;

/// What was found and done when a log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The log did not exist.
    pub created: bool,
    /// Records that it has.
    pub size: u64,
    /// Bytes that were cut off the end of the last segment: a record, or several, that no one was told is sealed.
    pub cut: u64,
    /// Records after the last checkpoint: written before the crash, signed now.
    pub unsigned: u64,
    /// Segments whose removal was begun before the crash.
    pub retired: usize,
}

/// The end of the log, as far as it was found to be right.
struct Tail {
    checker: Checker,
    /// Bytes of the segment up to the end of the last record that a checkpoint covers, of the last record, and of the file.
    signed: u64,
    good: u64,
    length: u64,
}

pub(super) fn open(path: &std::path::Path, options: Options) -> Result<(Writer, Recovery), OpenError> {
    let directory = Directory::at(path);
    directory.make()?;
    let lock = directory.lock()?.ok_or_else(|| OpenError::Locked { path: path.to_owned() })?;
    directory.tidy()?;
    let mut recovery = Recovery::default();
    let (key, found) = match keys::load(&directory)? {
        Some(key) => (key, directory.segments()?),
        None => (first_start(&directory, &options, &mut recovery)?, Vec::new()),
    };
    let damaged = |finding| OpenError::Damaged { path: path.to_owned(), finding };
    let text = match read(&directory.file(CHECKPOINTS))? {
        Some(text) => text,
        None => {
            Notes::make(&directory)?;
            Vec::new()
        }
    };
    let notes = Notes::open(&directory, checkpoints(&text, key.public()).map_err(damaged)?)?;
    let oldest = notes.last().map_or(0, |note| note.checkpoint().oldest);
    let mut firsts = finish_retirement(&directory, found, oldest, &mut recovery)?;
    if firsts.is_empty() && notes.last().is_none() {
        begin_segment(&directory, &key, &Frontier::empty()).map_err(cause)?;
        recovery.created = true;
        firsts.push(0);
    }
    let (first, tail) = last_segment(&directory, &mut firsts, (&key, notes.last()))?;
    let prev = tail.checker.prev().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let prev = prev.ok_or(OpenError::Gap { first })?;
    recovery.cut = tail.length - tail.good;
    let path = directory.segment(first);
    let mut file = Appended::new(open_file(&path)?, path, tail.good);
    if tail.length > tail.signed {
        file.settle(tail.signed, tail.good)?;
    }
    let segments = firsts.iter().map(|first| extent(&directory, *first)).collect::<Result<_, _>>()?;
    let tree = tail.checker.tree().clone();
    recovery.size = tree.size();
    recovery.unsigned = tree.size() - notes.last().map_or(0, |note| note.checkpoint().size);
    let writer =
        Writer { directory, key, options, segments, file, tree, prev, notes, oldest, poisoned: None, _lock: lock };
    Ok((writer, recovery))
}

fn first_start(directory: &Directory, options: &Options, recovery: &mut Recovery) -> Result<SigningKey, OpenError> {
    if !directory.segments()?.is_empty() || read(&directory.file(CHECKPOINTS))?.is_some() {
        return Err(OpenError::KeyMissing { path: directory.file(keys::SECRET) });
    }
    recovery.created = true;
    Ok(keys::make(directory, options.origin.clone())?)
}

/// Removes the segments that the latest checkpoint says may be missing.
fn finish_retirement(
    directory: &Directory,
    mut firsts: Vec<u64>,
    oldest: u64,
    recovery: &mut Recovery,
) -> Result<Vec<u64>, OpenError> {
    let kept = firsts.split_off(firsts.partition_point(|first| *first < oldest));
    if let Some(first) = kept.first().or(firsts.last()).filter(|first| **first != oldest) {
        return Err(OpenError::Gap { first: *first });
    }
    for first in &firsts {
        directory.remove(&segment_name(*first))?;
    }
    recovery.retired = firsts.len();
    if recovery.retired > 0 {
        directory.sync()?;
    }
    Ok(kept)
}

/// Finds the last segment that has a record, or the only one.
fn last_segment(
    directory: &Directory,
    firsts: &mut Vec<u64>,
    (key, last): (&SigningKey, Option<&Signed>),
) -> Result<(u64, Tail), OpenError> {
    let size = last.map_or(0, |note| note.checkpoint().size);
    while let Some(&first) = firsts.last() {
        let tail = tail(directory, first, (key, last))?;
        let records = tail.checker.tree().size() - first;
        if records == 0 && firsts.len() > 1 && tail.length == tail.good {
            // A rotation was interrupted before its record came. The record before is in the segment before; go back to it.
            directory.remove(&segment_name(first))?;
            directory.sync()?;
            firsts.pop();
            continue;
        }
        return Ok((first, tail));
    }
    Err(OpenError::Gap { first: size })
}

/// Reads the segment that begins with `first`.
fn tail(directory: &Directory, first: u64, (key, last): (&SigningKey, Option<&Signed>)) -> Result<Tail, OpenError> {
    let path = directory.segment(first);
    let damaged = |finding| OpenError::Damaged { path: directory.path().to_owned(), finding };
    let size = last.map_or(0, |note| note.checkpoint().size);
    if size < first {
        return Err(OpenError::Unsigned { first, size });
    }
    let mut checker = Checker::new(key.public().name(), last).map_err(damaged)?.beginning_with(first);
    let mut lines = Lines::open(&path)?;
    checker.header(first, lines.next()?.unwrap_or_default()).map_err(damaged)?;
    let (mut good, mut wrong) = (lines.offset(), None);
    let mut signed = good;
    while let Some(line) = lines.next()? {
        match checker.record(line) {
            Ok(()) => good = lines.offset(),
            // A line after the last checkpoint that is no record may be what a crash has left.
            Err(finding) if checker.tree().size() >= size => {
                wrong = Some(finding);
                break;
            }
            Err(finding) => return Err(damaged(finding)),
        }
        if checker.tree().size() == size {
            signed = good;
        }
    }
    checker.pending().map_err(damaged)?;
    if checker.tree().size() < size {
        checker.finish(0).map_err(damaged)?;
        return Err(OpenError::Gap { first });
    }
    let length = lines.length()?;
    let bytes = length - good;
    if bytes > u64::try_from(COMMIT_BYTES).unwrap_or(u64::MAX) {
        return Err(OpenError::Tail { path, bytes, finding: wrong });
    }
    Ok(Tail { checker, signed, good, length })
}

/// How large a segment is, and when it was begun.
fn extent(directory: &Directory, first: u64) -> Result<Extent, FileError> {
    let mut lines = Lines::open(&directory.segment(first))?;
    lines.next()?;
    let begun = lines.next()?.and_then(|line| Line::parse(line).ok()).map(|line| line.time);
    Ok(Extent { first, bytes: lines.length()?, begun })
}

fn cause(failure: Failure) -> FileError {
    match failure {
        Failure::Undone(error) | Failure::Unknown(error) | Failure::Changed(error) => error,
    }
}
