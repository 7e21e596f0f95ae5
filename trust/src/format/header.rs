//! The first line of a segment.

use crate::note::{BadOrigin, Origin};
use crate::tree::{Frontier, FrontierError, Hash};
use serde::{Deserialize, Serialize};

/// The format that is written, and the only one that is read.
const FORMAT: &str = "agentos-audit/1";

/// What a segment says of what is before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The log.
    pub origin: Origin,
    /// The tree over all records before the segment; its size is the number of the segment's first record.
    pub before: Frontier,
}

/// A line that is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// No JSON, or other keys.
    #[error("read the segment's header: expected {{\"format\":…,\"origin\":…,\"first\":…,\"frontier\":[…]}}")]
    Json(#[source] serde_json::Error),
    /// Written by another version.
    #[error("read a segment of the format {found:?}: this program reads {FORMAT:?}")]
    Format {
        /// As written.
        found: String,
    },
    /// The origin is none.
    #[error("read the segment's origin")]
    Origin(#[source] BadOrigin),
    /// The frontier does not fit.
    #[error("read the segment's frontier")]
    Frontier(#[source] FrontierError),
    /// The same in other bytes than the log writes.
    #[error("read the segment's header: expected {expected:?}")]
    Text {
        /// As the log writes it.
        expected: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    format: String,
    origin: String,
    first: u64,
    frontier: Vec<Hash>,
}

impl Header {
    /// Reads a line that ends with its newline.
    ///
    /// # Errors
    /// [`HeaderError`] unless every byte is as the log writes it.
    pub fn parse(line: &[u8]) -> Result<Self, HeaderError> {
        let found: Line = serde_json::from_slice(line).map_err(HeaderError::Json)?;
        if found.format != FORMAT {
            return Err(HeaderError::Format { found: found.format });
        }
        let origin = found.origin.parse().map_err(HeaderError::Origin)?;
        let before = Frontier::from_parts(found.first, found.frontier).map_err(HeaderError::Frontier)?;
        let header = Self { origin, before };
        let expected = header.line();
        if expected.as_bytes() == line { Ok(header) } else { Err(HeaderError::Text { expected }) }
    }

    /// The line with its newline.
    #[must_use]
    pub fn line(&self) -> String {
        let (first, frontier) = (self.before.size(), self.before.nodes().to_vec());
        let line = Line { format: FORMAT.to_owned(), origin: self.origin.as_str().to_owned(), first, frontier };
        // Texts and numbers: there is nothing in it that cannot be JSON.
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written_and_in_no_other_bytes() {
        let mut before = Frontier::empty();
        (0..7u8).for_each(|leaf| before.push(Hash::leaf(&[leaf])));
        let header = Header { origin: "example.com/log".parse().unwrap(), before };
        let line = header.line();
        assert_eq!(Header::parse(line.as_bytes()).unwrap(), header);
        for (from, to) in
            [(":", ": "), ("\n", ""), ("\n", "\n\n"), ("audit/1", "audit/2"), ("7", "6"), ("}", ",\"x\":1}")]
        {
            assert!(Header::parse(line.replacen(from, to, 1).as_bytes()).is_err(), "{from} -> {to}");
        }
    }
}
