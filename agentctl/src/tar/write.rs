//! Entries into an archive.

use super::fields::{self, MAX_NUMBER};
use super::{BLOCK, Entry, Kind, MAX_PAX, pax};
use std::io::{self, Read, Write};
use tar::EntryType;

/// The name of a pax header itself, which only readers that know none of them see.
const PAX_NAME: &[u8] = b"././@PaxHeader";
const COPIED_AT_ONCE: usize = 128 << 10;

/// Why an archive cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Not to where it goes.
    #[error("cannot write the archive")]
    Output(#[source] io::Error),
    /// A file's content.
    #[error("cannot read the content")]
    Content(#[source] io::Error),
    /// Path, link and attributes together.
    #[error("its path and attributes are longer than {} MiB", MAX_PAX >> 20)]
    TooLong,
}

/// Where an archive goes.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// An archive without entries so far.
    pub(crate) fn new(out: W) -> Self {
        Self { out, buffer: vec![0; COPIED_AT_ONCE] }
    }

    /// Adds an entry. A file has as many bytes as it says: what `content` has more is left out, and what it has less is
    /// zero. Gives how many were missing.
    pub(crate) fn add(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<u64, WriteError> {
        let records = pax::encode(entry);
        if records.len() > MAX_PAX {
            return Err(WriteError::TooLong);
        }
        if !records.is_empty() {
            let size = u64::try_from(records.len()).unwrap_or(u64::MAX);
            let header = fields::encode(EntryType::XHeader, PAX_NAME, b"", (0o644, size, 0));
            self.put(header.as_bytes())?;
            self.put(&records)?;
            self.fill_up(size)?;
        }
        self.put(header(entry).as_bytes())?;
        match entry.kind {
            Kind::File { size } => self.content(size, content),
            _ => Ok(0),
        }
    }

    fn content(&mut self, size: u64, content: &mut dyn Read) -> Result<u64, WriteError> {
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).map_or(COPIED_AT_ONCE, |left| left.min(COPIED_AT_ONCE));
            let count = match content.read(&mut self.buffer[..most]) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(WriteError::Content(error)),
            };
            if count == 0 {
                break;
            }
            self.out.write_all(&self.buffer[..count]).map_err(WriteError::Output)?;
            left -= u64::try_from(count).unwrap_or(left);
        }
        io::copy(&mut io::repeat(0).take(left), &mut self.out).map_err(WriteError::Output)?;
        self.fill_up(size)?;
        Ok(left)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<W, WriteError> {
        self.put(&[0; 2 * BLOCK])?;
        self.out.flush().map_err(WriteError::Output)?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.out.write_all(bytes).map_err(WriteError::Output)
    }

    /// Zeros to the end of the block in which `size` bytes end.
    fn fill_up(&mut self, size: u64) -> Result<(), WriteError> {
        let used = usize::try_from(size % 512).unwrap_or(0);
        self.put(&[0; BLOCK][..(BLOCK - used) % BLOCK])
    }
}

/// The entry's own header; what does not fit is in the records before it.
fn header(entry: &Entry) -> tar::Header {
    let (kind, link) = match &entry.kind {
        Kind::File { .. } => (EntryType::Regular, &[][..]),
        Kind::Directory => (EntryType::Directory, &[][..]),
        Kind::Symlink { target } => (EntryType::Symlink, target.as_slice()),
        Kind::HardLink { to } => (EntryType::Link, to.as_slice()),
        Kind::Fifo => (EntryType::Fifo, &[][..]),
    };
    let mut name = entry.path.clone();
    if entry.kind == Kind::Directory {
        name.push(b'/');
    }
    let size = match entry.kind {
        Kind::File { size } if size <= MAX_NUMBER => size,
        _ => 0,
    };
    let mtime = if pax::fits(entry.mtime) { u64::try_from(entry.mtime.seconds).unwrap_or(0) } else { 0 };
    fields::encode(kind, &name, link, (entry.mode & 0o7777, size, mtime))
}
