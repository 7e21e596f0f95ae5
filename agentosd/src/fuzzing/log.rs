//! The log of an agent's output, whose bytes are the agent's and whose end a crash may have cut off.

use sandbox::log::{HEADER, MAX_PIECE, header, parse};

/// Every record that is read stands in the bytes exactly as it would be written, and the next begins at its end.
pub fn log(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some((record, length)) = parse(rest) {
        assert!(record.data.len() <= MAX_PIECE && length == HEADER + record.data.len());
        let size = u32::try_from(record.data.len()).expect("a piece is short");
        assert_eq!(header(record.time_us, record.stderr, size), rest[..HEADER]);
        assert_eq!(record.data, &rest[HEADER..length]);
        rest = &rest[length..];
    }
}
