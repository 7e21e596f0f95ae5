//! The only one who writes a log. It belongs to one thread; see `thread`.
//!
//! ```text
//!   commit:   rotate if due → lines → write → fdatasync → Sealed
//!   rotate:   checkpoint → header written elsewhere, synced → renamed → directory synced
//!   retire:   checkpoint that says what is the oldest → files removed → directory synced
//! ```
//! Each order is such that after a crash between any two steps the next start finds what it needs, and a verifier finds no
//! fault.

use super::appended::Appended;
use super::directory::{Directory, Lock};
use super::error::{AppendError, Failure};
use super::notes::Notes;
use super::options::{Extent, Options};
use super::sealed::Sealed;
use crate::format::{Body, Header, TimeNs, segment_name, write_line};
use crate::note::{Checkpoint, Signed, SigningKey};
use crate::tree::{Frontier, Hash};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bytes of records that are written and made durable together. A crash can tear no more than that.
pub(super) const COMMIT_BYTES: usize = 1 << 20;

/// A log that is open for writing.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) directory: Directory,
    pub(super) key: SigningKey,
    pub(super) options: Options,
    /// All but the last are closed.
    pub(super) segments: Vec<Extent>,
    /// The last of them.
    pub(super) file: Appended,
    pub(super) tree: Frontier,
    /// Of the last record.
    pub(super) prev: Hash,
    pub(super) notes: Notes,
    pub(super) oldest: u64,
    /// Why it takes no record any more.
    pub(super) poisoned: Option<AppendError>,
    /// Held as long as there is a writer.
    pub(super) _lock: Lock,
}

impl Writer {
    /// Seals all of `bodies`, or none. They are on disk when it returns.
    pub(super) fn commit(&mut self, bodies: &[Body]) -> Result<Vec<Sealed>, AppendError> {
        self.refuse_if_poisoned()?;
        let now = now();
        if self.segments.last().is_some_and(|segment| self.options.rotation.is_due(segment, now)) {
            self.rotate().map_err(|failure| self.failed(failure))?;
        }
        let (mut tree, mut prev) = (self.tree.clone(), self.prev);
        let (mut lines, mut sealed) = (Vec::new(), Vec::with_capacity(bodies.len()));
        for body in bodies {
            let begin = lines.len();
            let (seq, time) = (tree.size(), now);
            write_line(&mut lines, (seq, time), &prev, body);
            prev = Hash::leaf(&lines[begin..]);
            tree.push(prev);
            sealed.push(Sealed::new(seq, time, prev));
        }
        self.file.append(&lines).map_err(|failure| self.failed(failure))?;
        (self.tree, self.prev) = (tree, prev);
        if let Some(segment) = self.segments.last_mut() {
            segment.bytes = self.file.length();
            segment.begun.get_or_insert(now);
        }
        Ok(sealed)
    }

    /// Whether records were sealed since the last checkpoint.
    pub(super) fn has_unsigned(&self) -> bool {
        self.notes.last().map_or(0, |note| note.checkpoint().size) < self.tree.size()
    }

    /// Signs what was sealed, if that is more than is signed.
    pub(super) fn checkpoint(&mut self) -> Result<Option<Signed>, AppendError> {
        self.refuse_if_poisoned()?;
        if self.has_unsigned() {
            self.sign(self.oldest).map_err(|failure| self.failed(failure))?;
        }
        if self.notes.are_many() {
            self.thin().map_err(|failure| self.failed(failure))?;
        }
        Ok(self.notes.last().cloned())
    }

    /// Removes what retention says.
    pub(super) fn retire(&mut self) -> Result<(), AppendError> {
        self.refuse_if_poisoned()?;
        match self.options.retention.retired(&self.segments, now()) {
            0 => Ok(()),
            count => self.remove(count).map_err(|failure| self.failed(failure)),
        }
    }

    fn remove(&mut self, count: usize) -> Result<(), Failure> {
        let oldest = self.segments.get(count).map_or(self.oldest, |segment| segment.first);
        // First it is signed that they may be missing.
        self.sign(oldest)?;
        self.oldest = oldest;
        for segment in self.segments.drain(..count) {
            // What cannot be removed now is removed at the next start.
            self.directory.remove(&segment_name(segment.first)).map_err(Failure::Undone)?;
        }
        self.directory.sync().map_err(Failure::Unknown)?;
        self.thin()
    }

    fn thin(&mut self) -> Result<(), Failure> {
        let firsts: Vec<u64> = self.segments.iter().map(|segment| segment.first).collect();
        self.notes.thin(&self.directory, &firsts)
    }

    fn sign(&mut self, oldest: u64) -> Result<(), Failure> {
        let origin = self.key.public().name().clone();
        let checkpoint = Checkpoint { origin, size: self.tree.size(), root: self.tree.root(), oldest };
        self.notes.append(checkpoint.sign(&self.key))
    }

    /// Closes the segment and begins the next.
    fn rotate(&mut self) -> Result<(), Failure> {
        // Whoever opens the log reads only the last segment, so what is before it must be signed.
        if self.has_unsigned() {
            self.sign(self.oldest)?;
        }
        let (file, extent) = begin_segment(&self.directory, &self.key, &self.tree)?;
        self.file = file;
        self.segments.push(extent);
        Ok(())
    }

    fn refuse_if_poisoned(&self) -> Result<(), AppendError> {
        self.poisoned.clone().map_or(Ok(()), Err)
    }

    fn failed(&mut self, failure: Failure) -> AppendError {
        match failure {
            Failure::Undone(error) => AppendError::Write(Arc::new(error)),
            Failure::Unknown(error) => {
                let error = AppendError::Poisoned(Arc::new(error));
                self.poisoned.insert(error).clone()
            }
            Failure::Changed(error) => {
                let error = AppendError::Changed(Arc::new(error));
                self.poisoned.insert(error).clone()
            }
        }
    }
}

/// A segment that continues `tree`, under its name.
pub(super) fn begin_segment(
    directory: &Directory,
    key: &SigningKey,
    tree: &Frontier,
) -> Result<(Appended, Extent), Failure> {
    let header = Header { origin: key.public().name().clone(), before: tree.clone() }.line();
    let first = tree.size();
    let file = directory.place(&segment_name(first), header.as_bytes(), 0o600).map_err(Failure::Undone)?;
    directory.sync().map_err(Failure::Unknown)?;
    let bytes = u64::try_from(header.len()).unwrap_or(u64::MAX);
    Ok((Appended::new(file, directory.segment(first), bytes), Extent { first, bytes, begun: None }))
}

/// The host's clock.
pub(super) fn now() -> TimeNs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    TimeNs(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
