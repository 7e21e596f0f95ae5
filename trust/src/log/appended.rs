//! A file that only grows: what was made durable stays, what was not is cut off again.

use super::error::{Failure, FileError};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;

/// A file of which the first `length` bytes are durable.
#[derive(Debug)]
pub(super) struct Appended {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Appended {
    /// The first `length` bytes of `file` are durable.
    pub(super) fn new(file: File, path: PathBuf, length: u64) -> Self {
        Self { file, path, length }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether the file is as it was left.
    fn untouched(&self) -> Result<(), Failure> {
        let found = self.file.metadata().map_err(self.failed("look at")).map_err(Failure::Undone)?;
        let why = match (found.len(), found.nlink()) {
            (_, 0) => "it was removed".to_owned(),
            (length, _) if length != self.length => format!("it has {length} bytes, and {} were written", self.length),
            _ => return Ok(()),
        };
        Err(Failure::Changed(self.failed("append to")(io::Error::other(why))))
    }

    /// Appends `bytes` and returns when they are on disk.
    ///
    /// What could not be written is cut off, so that no reader sees a record that was refused. If the bytes may be on
    /// disk or not, which is so after a failed fdatasync(2), they are cut off too, but nobody may rely on it.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.untouched()?;
        if let Err(source) = self.file.write_all_at(bytes, self.length) {
            let error = self.failed("write")(source);
            return Err(match self.file.set_len(self.length) {
                Ok(()) => Failure::Undone(error),
                Err(source) => Failure::Unknown(self.failed("cut")(source)),
            });
        }
        if let Err(source) = self.file.sync_data() {
            let error = self.failed("sync")(source);
            return Err(Failure::Unknown(match self.file.set_len(self.length) {
                Ok(()) => error,
                Err(source) => self.failed("cut")(source),
            }));
        }
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Cuts the file to `length` and writes what it has from `from` on once more: a write that the kernel lost without this
    /// process being told, because it was another's, is made good before anything is built on it.
    pub(super) fn settle(&mut self, from: u64, length: u64) -> Result<(), FileError> {
        self.file.set_len(length).map_err(self.failed("cut"))?;
        let mut piece = vec![0; 1 << 20];
        let mut at = from;
        while at < length {
            let wanted = usize::try_from(length - at).unwrap_or(usize::MAX).min(piece.len());
            self.file.read_exact_at(&mut piece[..wanted], at).map_err(self.failed("read"))?;
            self.file.write_all_at(&piece[..wanted], at).map_err(self.failed("write"))?;
            at += u64::try_from(wanted).unwrap_or(u64::MAX);
        }
        self.file.sync_all().map_err(self.failed("sync"))?;
        self.length = length;
        Ok(())
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> FileError + use<> {
        let path = self.path.clone();
        move |source| FileError { action, path, source }
    }
}
