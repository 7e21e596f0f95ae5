//! What an agent writes, kept in its output file, which is bounded.

use crate::log;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

/// The agent's output file, its size and its bound.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    limit: Option<u64>,
    /// Bytes of output so far, headers not counted.
    pub(super) total: u64,
    /// What of the limit is used.
    counted: u64,
    /// The limit was passed; nothing more is read.
    pub(super) spent: bool,
}

impl Log {
    pub(super) fn new(file: OwnedFd, limit: Option<u64>) -> Self {
        Self { file: File::from(file), limit, total: 0, counted: 0, spent: false }
    }

    /// Gives the limit once more.
    pub(super) fn renew(&mut self) {
        (self.counted, self.spent) = (0, false);
    }

    pub(super) fn append(&mut self, stderr: bool, data: &[u8]) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let length = u32::try_from(data.len()).map_err(io::Error::other)?;
        // One write a record, so that a reader never sees a header without the bytes it promises.
        let mut record = log::header(u64::try_from(now).unwrap_or(u64::MAX), stderr, length).to_vec();
        record.extend_from_slice(data);
        self.file.write_all(&record)?;
        self.total += u64::from(length);
        self.counted += log::counted(u64::from(length));
        self.spent = self.limit.is_some_and(|limit| self.counted > limit);
        Ok(())
    }
}
