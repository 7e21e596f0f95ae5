//! A segment file, line by line, with bounded memory.

use super::error::FileError;
use crate::format::MAX_LINE;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Reads lines of a file that may grow meanwhile.
#[derive(Debug)]
pub(super) struct Lines {
    file: BufReader<File>,
    path: PathBuf,
    line: Vec<u8>,
    /// Bytes of whole lines that were read.
    offset: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let opened = File::open(path);
        let file = opened.map_err(|source| FileError { action: "open", path: path.to_owned(), source })?;
        Ok(Self { file: BufReader::with_capacity(256 << 10, file), path: path.to_owned(), line: Vec::new(), offset: 0 })
    }

    /// The next line with its newline; `None` when there is none yet. A line that is longer than any record comes as its
    /// first [`MAX_LINE`] bytes and one more, which is then no record.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, FileError> {
        self.line.clear();
        let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX) + 1;
        let read = self.file.by_ref().take(most).read_until(b'\n', &mut self.line);
        let failed = |source| FileError { action: "read", path: self.path.clone(), source };
        read.map_err(failed)?;
        if self.line.last() != Some(&b'\n') && self.line.len() <= MAX_LINE {
            // The rest of it may still come.
            if !self.line.is_empty() {
                self.file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
            }
            return Ok(None);
        }
        self.offset += u64::try_from(self.line.len()).unwrap_or(u64::MAX);
        Ok(Some(&self.line))
    }

    /// Bytes of the whole lines that were read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> Result<u64, FileError> {
        let metadata = self.file.get_ref().metadata();
        Ok(metadata.map_err(|source| FileError { action: "read", path: self.path.clone(), source })?.len())
    }
}
