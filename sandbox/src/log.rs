//! The file in which a stage keeps an agent's output.
//!
//! A record is a header of 16 bytes (time in microseconds since 1970 as u64, stream as u32: 1 output, 2 error; length
//! as u32; all little-endian) and that many bytes. The stage alone appends; a reader stops at a record that is not
//! whole, which is one that is being written or was cut off by a crash.
//!
//! The agent decides how long its pieces are, so a piece shorter than a header counts as much as the header against the
//! output limit: the file stays below twice the limit and one piece. Collecting short pieces first would not bound the
//! file (slow ones would still get a header each), would show output later, and would lose some in a crash.

/// Bytes of a record's header.
pub const HEADER: usize = 16;
/// Longest piece of output in one record.
pub const MAX_PIECE: usize = 64 << 10;

/// What a piece of so many bytes counts against the output limit.
#[must_use]
pub(crate) fn counted(length: u64) -> u64 {
    length.max(HEADER as u64)
}

/// A record of the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Microseconds since 1970.
    pub time_us: u64,
    /// Standard error rather than standard output or the terminal.
    pub stderr: bool,
    /// The bytes.
    pub data: &'a [u8],
}

/// Writes a record's header.
#[must_use]
pub fn header(time_us: u64, stderr: bool, length: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&time_us.to_le_bytes());
    bytes[8..12].copy_from_slice(&(1 + u32::from(stderr)).to_le_bytes());
    bytes[12..].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// The first record in `bytes` and how long it is with its header; `None` when it is not whole or is no record.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let time_us = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let stream = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
    let length = usize::try_from(u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?)).ok()?;
    if !(1..=2).contains(&stream) || length > MAX_PIECE {
        return None;
    }
    let data = bytes.get(HEADER..HEADER + length)?;
    Some((Record { time_us, stderr: stream == 2, data }, HEADER + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_torn_one_does_not() {
        let bytes = [&header(7, true, 3)[..], b"abc"].concat();
        assert_eq!(parse(&bytes), Some((Record { time_us: 7, stderr: true, data: b"abc" }, 19)));
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), None);
        }
    }
}
