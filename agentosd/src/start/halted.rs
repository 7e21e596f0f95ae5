//! Why an earlier daemon stopped every agent and served nobody, for the daemon after it, which lists them.

use super::ending::IntegrityFailure;
use crate::journal;
use crate::store::{read_file, replace};
use std::fs;
use std::io;
use std::path::Path;

/// In the state directory.
const FILE: &str = "halted";
/// Characters of it that are read.
const MOST: usize = 1000;

/// Writes it down.
fn note(state: &Path, why: &str) {
    let path = state.join(FILE);
    if let Err(error) = replace(&path, why.as_bytes()) {
        journal::error(format_args!("cannot write {}: {error}", path.display()));
    }
}

/// The same of a start that failed, if that is why.
pub(super) fn note_of(state: &Path, error: &anyhow::Error) {
    if let Some(failure) = error.downcast_ref::<IntegrityFailure>() {
        note(state, &failure.to_string());
    }
}

/// What was written down; it is no more from now on.
pub(super) fn take(state: &Path) -> Option<String> {
    let path = state.join(FILE);
    let read = read_file(&path).and_then(|text| fs::remove_file(&path).map(|()| text));
    match read {
        Ok(text) => Some(String::from_utf8_lossy(&text).chars().take(MOST).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            journal::warning(format_args!("cannot read and remove {}: {error}", path.display()));
            None
        }
    }
}
