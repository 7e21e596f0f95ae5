//! The file of checkpoints: signed notes, each followed by an empty line.

use super::{Finding, Place, Problem};
use crate::note::{CheckpointError, Signed, VerifyingKey};

/// Checkpoints in the order in which they were signed, and what is left at the end of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// Each covers more than the one before it, or keeps less.
    pub notes: Vec<Signed>,
    /// Bytes up to the end of the last whole note.
    pub length: u64,
    /// Bytes after it: a note whose writing was interrupted.
    pub torn: u64,
}

/// Reads the text of the file. What follows the last note and is cut off is told in [`Checkpoints::torn`].
///
/// # Errors
/// A [`Finding`] at the first line that is wrong: a forged, changed or foreign note, or one out of order.
pub fn checkpoints(bytes: &[u8], key: &VerifyingKey) -> Result<Checkpoints, Finding> {
    let at = |rest: &str| bytes.len() - rest.len();
    let text = std::str::from_utf8(bytes).or_else(|error| {
        // A torn character at the very end is a torn note; anything else is found as a wrong line.
        let good = error.valid_up_to();
        let line = lines(&bytes[..good]) + 1;
        let wrong = Finding::new(Place::checkpoints(line), Problem::Encoding);
        if error.error_len().is_some() {
            Err(wrong)
        } else {
            Ok(std::str::from_utf8(&bytes[..good]).unwrap_or_default())
        }
    })?;
    let bytes_of_text = text.len();
    let mut notes: Vec<Signed> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let begin = lines(&bytes[..bytes_of_text - rest.len()]);
        let finding = |line, problem| Finding::new(Place::checkpoints(begin + line), problem);
        let (note, after) = match Signed::parse_first(rest, key) {
            Ok((note, after)) => (note, after),
            Err(CheckpointError::Torn) => break,
            Err(error) => {
                let line = if let CheckpointError::Line { line, .. } = &error { *line } else { 1 };
                return Err(finding(line, Problem::Checkpoint(error)));
            }
        };
        let Some(after) = after.strip_prefix('\n') else {
            if after.is_empty() {
                break;
            }
            return Err(finding(lines(note.text().as_bytes()) + 1, Problem::Separator));
        };
        if let Some(last) = notes.last() {
            let mark = |note: &Signed| (note.checkpoint().size, note.checkpoint().oldest);
            let (before, this) = (mark(last), mark(&note));
            if this.0 < before.0 || this.1 < before.1 || this == before {
                return Err(finding(1, Problem::Order { before, this }));
            }
        }
        notes.push(note);
        rest = after;
    }
    let length = bytes_of_text - rest.len();
    let number = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    Ok(Checkpoints { notes, length: number(length), torn: number(at("") - length) })
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}
