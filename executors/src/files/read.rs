//! Reading a regular file.

use super::beneath::target;
use crate::descriptors::{bytes, real_path, reopen, shown};
use crate::refusal::{Outcome, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, MAX_CONTENT, MAX_LINE, Prepared};
use rustix::fs::{FileType, OFlags, fstat};
use serde_json::{Value, json};
use std::ops::Range;
use std::os::fd::OwnedFd;

/// A file that is open for reading, and what of it is wanted.
#[derive(Debug)]
pub(crate) struct Reading {
    file: OwnedFd,
    wanted: Range<u64>,
    path: String,
}

impl Reading {
    /// Opens it; `wanted` ends at `u64::MAX` when all of it is.
    pub(crate) fn prepare(root: &str, path: &str, wanted: Range<u64>) -> Outcome<(Prepared, Self)> {
        let failed = |errno| Refusal::errno(errno, &format!("open {path:?}"));
        let target = target(root, path)?;
        let status = fstat(&target).map_err(failed)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(Refusal::new(RefusalReason::WrongType, format!("{path:?} is no regular file")));
        }
        let file = reopen(&target, OFlags::RDONLY).map_err(failed)?;
        let path = shown(real_path(&file)?)?;
        let size = u64::try_from(status.st_size).unwrap_or(0);
        let size = size.min(wanted.end).saturating_sub(wanted.start);
        let prepared = Prepared { paths: vec![path.clone()], size: Some(size), ..Prepared::default() };
        Ok((prepared, Self { file, wanted, path }))
    }

    /// Reads it. What is longer than allowed is refused as a whole, unless less of it was asked for.
    pub(crate) fn perform(self, bounds: &Bounds) -> Outcome<Value> {
        let failed = |errno| Refusal::errno(errno, &format!("read {:?}", self.path));
        let bound = bounds.max_bytes.unwrap_or(MAX_CONTENT).min(MAX_CONTENT);
        let wanted = self.wanted.end.saturating_sub(self.wanted.start);
        // One more than allowed tells whether there is more.
        let most = wanted.min(bound.saturating_add(1));
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let content = bytes(&self.file, self.wanted.start, most).map_err(failed)?;
        if u64::try_from(content.len()).unwrap_or(u64::MAX) > bound {
            return Err(Refusal::too_large(&format!("{:?}", self.path), bound));
        }
        let size = fstat(&self.file).map_err(failed)?.st_size;
        let (content, encoding) = encoded(content);
        Ok(json!({"content": content, "encoding": encoding, "size": size, "offset": self.wanted.start}))
    }
}

/// Text as text, everything else as base64; also text that JSON makes too long.
fn encoded(content: Vec<u8>) -> (String, &'static str) {
    match String::from_utf8(content) {
        Ok(text) if length(&text) < MAX_LINE - 4096 => (text, "utf-8"),
        Ok(text) => (STANDARD.encode(text), "base64"),
        Err(other) => (STANDARD.encode(other.as_bytes()), "base64"),
    }
}

/// As JSON, at most: a control character takes six bytes.
fn length(text: &str) -> usize {
    let one = |byte| match byte {
        0..b' ' | 0x7f => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    text.bytes().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_while_it_fits_a_line() {
        assert_eq!(encoded(b"a\n\"b\"".to_vec()), ("a\n\"b\"".to_owned(), "utf-8"));
        assert_eq!(encoded(vec![0xff]), ("/w==".to_owned(), "base64"));
        assert_eq!(encoded(vec![1; 8 << 20]).1, "base64");
        assert_eq!(encoded(vec![b'a'; 16 << 20]).1, "utf-8");
    }
}
