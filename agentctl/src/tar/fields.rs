//! Values of a header block, and its checksum.

use super::BLOCK;
use super::read::ReadError;
use tar::{EntryType, Header};

/// Room for a name, and for a link's text.
pub(super) const NAME: usize = 100;
/// The largest size and time in a header: eleven octal digits.
pub(super) const MAX_NUMBER: u64 = 0o777_7777_7777;
/// Where the checksum stands; it is computed as if there were spaces.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// A header block of ours, whose values fit. Owner and device numbers are 0.
pub(super) fn encode(kind: EntryType, name: &[u8], link: &[u8], (mode, size, mtime): (u32, u64, u64)) -> Header {
    let mut header = Header::new_ustar();
    if let Some(ustar) = header.as_ustar_mut() {
        fill(&mut ustar.name, name);
        fill(&mut ustar.linkname, link);
    }
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(mtime);
    header.set_cksum();
    header
}

/// As much as fits; the caller has put what does not into a pax header.
fn fill(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

/// What a header block says, whoever wrote it.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) kind: EntryType,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) mtime: i64,
}

/// Reads a block that is not all zero.
pub(super) fn decode(block: &[u8; BLOCK]) -> Result<Fields, ReadError> {
    let header = Header::from_byte_slice(block);
    let named = header.cksum().map_err(|_| ReadError::NoHeader)?;
    let sum: u32 =
        block.iter().enumerate().map(|(at, byte)| if CHECKSUM.contains(&at) { 32 } else { (*byte).into() }).sum();
    if sum != named || (header.as_ustar().is_none() && header.as_gnu().is_none()) {
        return Err(ReadError::NoHeader);
    }
    let path = header.path_bytes().into_owned();
    let bad = |what: &'static str| ReadError::Number { path: path.clone(), what };
    let old = header.as_old();
    if !is_narrow(&old.size) {
        return Err(bad("size"));
    }
    Ok(Fields {
        kind: header.entry_type(),
        link: header.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default(),
        mode: header.mode().map_err(|_| bad("mode"))?,
        size: header.entry_size().map_err(|_| bad("size"))?,
        mtime: seconds(header, &old.mtime).ok_or_else(|| bad("time"))?,
        path,
    })
}

/// GNU tar writes what has no eleven octal digits as a number of twelve bytes, of which the last eight are read; whether
/// the others say nothing.
fn is_narrow(field: &[u8; 12]) -> bool {
    field[0] & 0x80 == 0 || field[..4] == [0x80, 0, 0, 0]
}

/// The time; that number may be negative.
fn seconds(header: &Header, field: &[u8; 12]) -> Option<i64> {
    if let [0xff, 0xff, 0xff, 0xff, low @ ..] = field {
        return Some(i64::from_be_bytes(*low)).filter(|seconds| *seconds < 0);
    }
    header.mtime().ok().filter(|_| is_narrow(field)).and_then(|seconds| i64::try_from(seconds).ok())
}
