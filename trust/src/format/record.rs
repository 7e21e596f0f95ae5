//! The line of a record.

use super::{Body, MAX_LINE};
use crate::note::decimal;
use crate::tree::{BadHash, Hash};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::io::Write as _;
use std::ops::Range;

/// Nanoseconds since 1970-01-01T00:00:00Z, as the host's clock had it; later records may have earlier times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeNs(pub u64);

/// A record as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Counted from 0; its place among the leaves of the tree.
    pub seq: u64,
    /// When it was written.
    pub time: TimeNs,
    /// The hash of the record before it.
    pub prev: Hash,
    line: String,
    body: Range<usize>,
}

impl Record {
    /// Reads a line that ends with its newline.
    ///
    /// # Errors
    /// [`RecordError`] unless it is as the log writes it.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        let parsed = Line::parse(line)?;
        let prev = std::str::from_utf8(parsed.prev).ok().map(str::parse);
        let prev = prev.unwrap_or_else(|| "".parse()).map_err(RecordError::Prev)?;
        let body = parsed.checked_body()?;
        let start = line.len() - body.len() - END.len();
        let text = std::str::from_utf8(line).map_err(|_| RecordError::Form { expected: "UTF-8" })?;
        let body = start..start + body.len();
        Ok(Self { seq: parsed.seq, time: parsed.time, prev, line: text.to_owned(), body })
    }

    /// The body as JSON.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.line[self.body.clone()]
    }

    /// The whole line with its newline: the leaf.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Its hash in the tree.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        Hash::leaf(self.line.as_bytes())
    }
}

/// A line that is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not in the one form that the log writes.
    #[error("expected {expected} in {{\"seq\":…,\"time\":…,\"prev\":\"…\",\"body\":{{…}}}}")]
    Form {
        /// What is missing.
        expected: &'static str,
    },
    /// Longer than the log writes.
    #[error("the line is longer than {MAX_LINE} bytes")]
    Long,
    /// `prev` is no hash.
    #[error("read `prev`")]
    Prev(#[source] BadHash),
    /// The body is no JSON.
    #[error("read the body as JSON")]
    Body(#[source] serde_json::Error),
}

/// What closes a record after its body.
const END: &[u8] = b"}\n";

/// The parts of a line, not looked at further: what a verifier needs of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) seq: u64,
    pub(crate) time: TimeNs,
    pub(crate) prev: &'a [u8],
    body: &'a [u8],
}

impl<'a> Line<'a> {
    /// There is one text for a record, so the parts are cut out and no JSON parser is asked; it would allow others.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, RecordError> {
        if line.len() > MAX_LINE {
            return Err(RecordError::Long);
        }
        let mut rest = Rest(line);
        rest.skip(b"{\"seq\":", "\"seq\"")?;
        let seq = rest.number("a number for \"seq\"")?;
        rest.skip(b",\"time\":", "\"time\"")?;
        let time = TimeNs(rest.number("a number for \"time\"")?);
        rest.skip(b",\"prev\":\"", "\"prev\"")?;
        let prev = rest.take(Hash::TEXT, "a hash for \"prev\"")?;
        rest.skip(b"\",\"body\":", "\"body\"")?;
        let body = rest.0.strip_suffix(END).ok_or(RecordError::Form { expected: "a closing brace and a newline" })?;
        if !body.starts_with(b"{") || !body.ends_with(b"}") {
            return Err(RecordError::Form { expected: "an object for \"body\"" });
        }
        if body.contains(&b'\n') {
            return Err(RecordError::Form { expected: "one line" });
        }
        Ok(Self { seq, time, prev, body })
    }

    /// The body, found to be one JSON value and nothing besides.
    pub(crate) fn checked_body(&self) -> Result<&'a str, RecordError> {
        let raw: &RawValue = serde_json::from_slice(self.body).map_err(RecordError::Body)?;
        Ok(raw.get())
    }
}

/// What of a line is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn skip(&mut self, text: &[u8], expected: &'static str) -> Result<(), RecordError> {
        self.0 = self.0.strip_prefix(text).ok_or(RecordError::Form { expected })?;
        Ok(())
    }

    fn take(&mut self, length: usize, expected: &'static str) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(RecordError::Form { expected })?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, expected: &'static str) -> Result<u64, RecordError> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(self.take(digits, expected)?).ok();
        text.and_then(decimal).ok_or(RecordError::Form { expected })
    }
}

/// Appends a record's line to `buffer`.
pub(crate) fn write_line(buffer: &mut Vec<u8>, (seq, time): (u64, TimeNs), prev: &Hash, body: &Body) {
    // Writing into memory cannot fail.
    let numbers = write!(buffer, "{{\"seq\":{seq},\"time\":{},\"prev\":\"", time.0);
    debug_assert!(numbers.is_ok());
    buffer.extend_from_slice(&prev.text());
    buffer.extend_from_slice(b"\",\"body\":");
    buffer.extend_from_slice(body.as_str().as_bytes());
    buffer.extend_from_slice(END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(seq: u64, body: &serde_json::Value) -> Vec<u8> {
        let mut line = Vec::new();
        write_line(&mut line, (seq, TimeNs(5)), &Hash::empty(), &Body::new(body).unwrap());
        line
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_is_json() {
        let body = json!({"exe": "/bin/\u{202e}x\n", "n": [1, 2.5, null]});
        let line = line(u64::MAX, &body);
        let record = Record::parse(&line).unwrap();
        assert_eq!((record.seq, record.time, record.prev), (u64::MAX, TimeNs(5), Hash::empty()));
        assert_eq!(record.line().as_bytes(), line);
        assert_eq!(serde_json::from_str::<serde_json::Value>(record.body()).unwrap(), body);
        let whole: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&whole["seq"], &whole["body"]), (&u64::MAX.into(), &body));
    }

    #[test]
    fn the_longest_body_fits_in_a_line() {
        let line = line(u64::MAX, &json!({"x": "y".repeat(Body::MAX - 8)}));
        assert!(line.len() <= MAX_LINE, "{}", line.len());
        assert!(Record::parse(&line).is_ok());
        assert!(matches!(Record::parse(&vec![b'{'; MAX_LINE + 1]), Err(RecordError::Long)));
    }

    #[test]
    fn there_is_one_text_for_a_record() {
        let good = String::from_utf8(line(7, &json!({"a": 1}))).unwrap();
        assert!(Record::parse(good.as_bytes()).is_ok());
        let others = [
            ("\"seq\":7", "\"seq\": 7"),
            ("\"seq\":7", "\"seq\":07"),
            ("\"seq\":7", "\"seq\":+7"),
            ("\"seq\":7", "\"seq\":18446744073709551616"),
            ("\"seq\":7,\"time\":5", "\"time\":5,\"seq\":7"),
            ("47DE", "47D\""),
            ("{\"a\":1}", "{\"a\":1} "),
            ("{\"a\":1}", "{\"a\":1}}"),
            ("{\"a\":1}", "{\"a\":1},{}"),
            ("{\"a\":1}", "[1]"),
            ("{\"a\":1}", "{\"a\":\n1}"),
            ("}\n", "}"),
            ("}\n", "}\r\n"),
            ("}\n", "}\n\n"),
        ];
        for (from, to) in others {
            assert!(Record::parse(good.replace(from, to).as_bytes()).is_err(), "{from} -> {to}");
        }
    }
}
