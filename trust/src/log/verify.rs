//! The offline verifier: the files and the public key, nothing else.

use super::directory::{CHECKPOINTS, Directory, read};
use super::error::{FileError, ReadError};
use super::lines::Lines;
use crate::format::{Checker, Checkpoints, Report, checkpoints};
use crate::note::{Signed, VerifyingKey};
use std::io::ErrorKind;
use std::path::Path;

/// How often a segment may vanish while a log is verified.
const ATTEMPTS: u32 = 4;

/// Verifies the log in `directory`: every byte of every segment and checkpoint. `known` are checkpoints of it that were kept
/// elsewhere; they also find a log that was cut off together with its checkpoints.
///
/// The log may be written meanwhile.
///
/// # Errors
/// [`ReadError::Damaged`] with the first thing that is wrong; [`ReadError::File`] when a file cannot be read.
pub fn verify(directory: &Path, key: &VerifyingKey, known: &[Signed]) -> Result<Report, ReadError> {
    verify_part(directory, key, known, 0)
}

/// The same for a copy of a log that begins with the segment of record `from`, or with an older one, on purpose. What is
/// before it may be missing; what is there is proved as in a whole log.
///
/// # Errors
/// As [`verify()`].
pub fn verify_part(directory: &Path, key: &VerifyingKey, known: &[Signed], from: u64) -> Result<Report, ReadError> {
    let directory = Directory::at(directory);
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let result = attempt(&directory, key, known, from);
        let vanished = |error: &FileError| error.source.kind() == ErrorKind::NotFound;
        match result {
            // Retention has removed a segment meanwhile.
            Err(ReadError::File(error)) if vanished(&error) && attempts.next().is_some() => (),
            result => return result,
        }
    }
}

fn attempt(directory: &Directory, key: &VerifyingKey, known: &[Signed], from: u64) -> Result<Report, ReadError> {
    // First the checkpoints: what is written meanwhile comes after them.
    let own = read_checkpoints(directory, key)?;
    let segments = directory.segments()?;
    if segments.is_empty() && own.notes.is_empty() {
        return Err(ReadError::None { path: directory.path().to_owned() });
    }
    let oldest = |notes: &[Signed]| notes.last().map_or(0, |note| note.checkpoint().oldest);
    let checker = Checker::new(key.name(), own.notes.iter().chain(known)).map_err(ReadError::Damaged)?;
    let mut checker = checker.beginning_with(from);
    if segments.first().is_some_and(|first| *first > oldest(&own.notes)) {
        // It may have been retired meanwhile; then that is signed now.
        checker = checker.beginning_with(oldest(&read_checkpoints(directory, key)?.notes));
    }
    let mut torn = 0;
    for (at, first) in segments.iter().enumerate() {
        let mut lines = Lines::open(&directory.segment(*first))?;
        checker.header(*first, lines.next()?.unwrap_or_default()).map_err(ReadError::Damaged)?;
        while let Some(line) = lines.next()? {
            checker.record(line).map_err(ReadError::Damaged)?;
        }
        // Only where something may still be written can a line be incomplete.
        torn = lines.length()?.saturating_sub(lines.offset());
        if torn > 0 && at + 1 < segments.len() {
            checker.record(&[]).map_err(ReadError::Damaged)?;
        }
    }
    checker.finish(torn + own.torn).map_err(ReadError::Damaged)
}

/// The checkpoints that a log has.
///
/// # Errors
/// [`ReadError`], also when one of them is not the key's.
pub fn signed(directory: &Path, key: &VerifyingKey) -> Result<Vec<Signed>, ReadError> {
    Ok(read_checkpoints(&Directory::at(directory), key)?.notes)
}

/// The numbers of the first records of the segments that there are, in order; [`crate::format::segment_name`] has their names.
///
/// # Errors
/// [`FileError`] when the directory cannot be listed.
pub fn segments(directory: &Path) -> Result<Vec<u64>, FileError> {
    Directory::at(directory).segments()
}

pub(super) fn read_checkpoints(directory: &Directory, key: &VerifyingKey) -> Result<Checkpoints, ReadError> {
    let bytes = read(&directory.file(CHECKPOINTS))?.unwrap_or_default();
    checkpoints(&bytes, key).map_err(ReadError::Damaged)
}
