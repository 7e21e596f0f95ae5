//! The file of checkpoints: appended to, and thinned now and then.

use super::appended::Appended;
use super::directory::{CHECKPOINTS, Directory, open};
use super::error::{Failure, FileError};
use crate::format::Checkpoints;
use crate::note::Signed;

/// More checkpoints since the last thinning are not kept: each costs a verifier a signature.
const MOST: usize = 1024;

/// The file, with what is in it.
#[derive(Debug)]
pub(super) struct Notes {
    file: Appended,
    notes: Vec<Signed>,
    thinned: usize,
}

impl Notes {
    /// The file as it was read; what is torn is cut off.
    pub(super) fn open(directory: &Directory, found: Checkpoints) -> Result<Self, FileError> {
        let path = directory.file(CHECKPOINTS);
        let mut file = Appended::new(open(&path)?, path, found.length);
        // All of it: the last checkpoint may have been lost as a record may.
        file.settle(0, found.length)?;
        Ok(Self { file, thinned: 0, notes: found.notes })
    }

    /// An empty file, when there is none.
    pub(super) fn make(directory: &Directory) -> Result<(), FileError> {
        directory.place(CHECKPOINTS, &[], 0o644)?;
        directory.sync()
    }

    /// The latest.
    pub(super) fn last(&self) -> Option<&Signed> {
        self.notes.last()
    }

    /// Appends one and makes it durable.
    pub(super) fn append(&mut self, note: Signed) -> Result<(), Failure> {
        self.file.append(entry(&note).as_bytes())?;
        self.notes.push(note);
        Ok(())
    }

    /// Whether so many were written that the file should be thinned.
    pub(super) fn are_many(&self) -> bool {
        self.notes.len() - self.thinned > MOST
    }

    /// Keeps the last one, and those at the ends of the segments that are kept. What they replace they cover, too.
    ///
    /// # Errors
    /// `Unknown` when the names in the directory may be the old or the new ones.
    pub(super) fn thin(&mut self, directory: &Directory, firsts: &[u64]) -> Result<(), Failure> {
        let last = self.last().map(|note| note.checkpoint().clone());
        let oldest = firsts.first().copied().unwrap_or(0);
        let stays = |note: &&Signed| {
            let checkpoint = note.checkpoint();
            let size = checkpoint.size;
            let is_end = size > oldest && firsts.binary_search(&size).is_ok();
            is_end || last.as_ref() == Some(checkpoint)
        };
        let kept: Vec<Signed> = self.notes.iter().filter(stays).cloned().collect();
        if kept.len() < self.notes.len() {
            let content: String = kept.iter().map(entry).collect();
            let file = directory.place(CHECKPOINTS, content.as_bytes(), 0o644).map_err(Failure::Undone)?;
            directory.sync().map_err(Failure::Unknown)?;
            let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
            self.file = Appended::new(file, directory.file(CHECKPOINTS), length);
            self.notes = kept;
        }
        self.thinned = self.notes.len();
        Ok(())
    }
}

fn entry(note: &Signed) -> String {
    format!("{}\n", note.text())
}
