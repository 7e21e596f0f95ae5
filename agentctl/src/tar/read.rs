//! An archive into entries: ours, and what GNU tar and libarchive write of ordinary files.

use super::fields::{self, Fields};
use super::pax::{self, PaxError, Records};
use super::{BLOCK, Entry, Kind, MAX_PAX, Time};
use protocol::text::escape_bytes;
use std::collections::BTreeMap;
use std::io::{self, Read};
use tar::EntryType;

/// Bytes behind the end that are read, so that a writer that fills up its last record does not find us gone.
const BEHIND: u64 = 1 << 20;

/// Why bytes are no archive that may be imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("it cannot be read")]
    Input(#[source] io::Error),
    #[error("it ends early")]
    Early,
    #[error("it is no tar archive, or damaged (a compressed one has to be decompressed: zstd -d, gzip -d)")]
    NoHeader,
    #[error("{}: its {what} is no number that can be used", escape_bytes(path))]
    Number { path: Vec<u8>, what: &'static str },
    #[error("the pax header before {}", escape_bytes(path))]
    Pax { path: Vec<u8>, source: PaxError },
    #[error("a pax header or name is longer than {} MiB", MAX_PAX >> 20)]
    Long,
    #[error("{}: it is {what}, which no memory holds", escape_bytes(path))]
    Kind { path: Vec<u8>, what: String },
    #[error("{}: it has a content, which only a file may have", escape_bytes(path))]
    Content { path: Vec<u8> },
    #[error("it has a header that is for all entries and changes them; write the archive without it")]
    Global,
}

/// Where an archive comes from.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    input: R,
    /// Bytes of the present entry's content that have not been read, and zeros behind it.
    left: u64,
    padding: u64,
}

/// Headers that say something of the next entry.
#[derive(Debug, Default)]
struct Before {
    records: Records,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    /// From the archive's first byte on.
    pub(crate) fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0 }
    }

    /// The next entry, past what was not read of the present one. `None` at the archive's end, which has to be there.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        self.skip(self.left.saturating_add(self.padding))?;
        (self.left, self.padding) = (0, 0);
        let mut before = Before::default();
        loop {
            let block = self.block()?;
            if block == [0; BLOCK] {
                return self.end(&before);
            }
            let fields = fields::decode(&block)?;
            match fields.kind {
                EntryType::XHeader => {
                    let path = fields.path.clone();
                    before.records =
                        pax::decode(&self.body(&fields)?).map_err(|source| ReadError::Pax { path, source })?;
                }
                EntryType::XGlobalHeader => self.only_comments(&fields)?,
                EntryType::GNULongName => before.long_name = Some(text(self.body(&fields)?)),
                EntryType::GNULongLink => before.long_link = Some(text(self.body(&fields)?)),
                _ => return self.entry(fields, before).map(Some),
            }
        }
    }

    fn entry(&mut self, fields: Fields, before: Before) -> Result<Entry, ReadError> {
        let Before { records, long_name, long_link } = before;
        let mut path = records.path.or(long_name).unwrap_or(fields.path);
        let link = records.link.or(long_link).unwrap_or(fields.link);
        let size = records.size.unwrap_or(fields.size);
        // Before there was a type for it, a directory was a file with a slash at its end.
        let slash = path.ends_with(b"/");
        while path.len() > 1 && path.ends_with(b"/") {
            path.pop();
        }
        let kind = match fields.kind {
            EntryType::Regular | EntryType::Continuous if slash => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File { size },
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink { target: link },
            EntryType::Link => Kind::HardLink { to: link },
            EntryType::Fifo => Kind::Fifo,
            other => return Err(ReadError::Kind { path, what: foreign(other) }),
        };
        match kind {
            Kind::File { .. } => (self.left, self.padding) = (size, padding(size)),
            _ if size > 0 => return Err(ReadError::Content { path }),
            _ => {}
        }
        let mtime = records.mtime.unwrap_or(Time { seconds: fields.mtime, nanoseconds: 0 });
        let attributes = match kind {
            Kind::File { .. } | Kind::Directory => records.attributes,
            // The kernel lets nothing else have them (xattr(7)).
            _ => BTreeMap::new(),
        };
        Ok(Entry { path, kind, mode: fields.mode & 0o7777, mtime, attributes })
    }

    /// What stands in a header's own content.
    fn body(&mut self, fields: &Fields) -> Result<Vec<u8>, ReadError> {
        let size = usize::try_from(fields.size).ok().filter(|size| *size <= MAX_PAX).ok_or(ReadError::Long)?;
        let mut body = Vec::new();
        // Only as much as really comes is kept.
        let read = (&mut self.input).take(fields.size).read_to_end(&mut body).map_err(ReadError::Input)?;
        if read < size {
            return Err(ReadError::Early);
        }
        self.skip(padding(fields.size))?;
        Ok(body)
    }

    /// git-archive(1) names the commit in one.
    fn only_comments(&mut self, fields: &Fields) -> Result<(), ReadError> {
        let path = fields.path.clone();
        let records = pax::decode(&self.body(fields)?).map_err(|source| ReadError::Pax { path, source })?;
        if records == Records::default() { Ok(()) } else { Err(ReadError::Global) }
    }

    /// After the first of two zero blocks.
    fn end(&mut self, before: &Before) -> Result<Option<Entry>, ReadError> {
        let Before { records, long_name: None, long_link: None } = before else { return Err(ReadError::Early) };
        if *records != Records::default() || self.block()? != [0; BLOCK] {
            return Err(ReadError::Early);
        }
        // The archive is whole: what follows is nobody's.
        io::copy(&mut (&mut self.input).take(BEHIND), &mut io::sink()).map_err(ReadError::Input)?;
        Ok(None)
    }

    fn block(&mut self) -> Result<[u8; BLOCK], ReadError> {
        let mut block = [0; BLOCK];
        match self.input.read_exact(&mut block) {
            Ok(()) => Ok(block),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Early),
            Err(error) => Err(ReadError::Input(error)),
        }
    }

    fn skip(&mut self, count: u64) -> Result<(), ReadError> {
        let skipped = io::copy(&mut (&mut self.input).take(count), &mut io::sink()).map_err(ReadError::Input)?;
        if skipped == count { Ok(()) } else { Err(ReadError::Early) }
    }
}

/// The content of the present entry.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.input.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, ReadError::Early));
        }
        self.left -= u64::try_from(count).unwrap_or(self.left);
        Ok(count)
    }
}

fn padding(size: u64) -> u64 {
    (512 - size % 512) % 512
}

/// GNU tar ends its long names with a NUL.
fn text(mut body: Vec<u8>) -> Vec<u8> {
    if body.ends_with(b"\0") {
        body.pop();
    }
    body
}

fn foreign(kind: EntryType) -> String {
    match kind {
        EntryType::Char | EntryType::Block => "a device node".to_owned(),
        EntryType::GNUSparse => "a file without its holes (write the archive without --sparse)".to_owned(),
        other => format!("of the type {:?}", char::from(other.as_byte())),
    }
}
