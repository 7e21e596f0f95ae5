//! Checkpoints: the size and the root of the tree at a moment, signed.
//!
//! ```text
//!   host.example/agentos-audit                       origin
//!   20852163                                         size
//!   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     root
//!   oldest 1048576                                   the oldest record that is kept; only after some were removed
//!
//!   — host.example/agentos-audit Az3grlgtzPICa5OS…   key id and signature over the lines above the empty one
//! ```

use super::{Origin, SigningKey, VerifyingKey};
use crate::tree::Hash;
use std::fmt;

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: Origin,
    /// How many records it has.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    /// The sequence number from which on all are kept. It is signed so that nobody passes off older segments that he has
    /// removed as removed by retention.
    pub oldest: u64,
}

/// A checkpoint whose signature was made or verified here, with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    checkpoint: Checkpoint,
    text: String,
}

/// A text that is no checkpoint of that log.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// A line is not what it must be; the line counts from 1.
    #[error("line {line} is no {expected}")]
    Line {
        /// In the note.
        line: u64,
        /// What it must be.
        expected: &'static str,
    },
    /// Another log's.
    #[error("it is of the log {found:?} and not of {expected}")]
    Origin {
        /// The key's name.
        expected: Origin,
        /// As written.
        found: String,
    },
    /// Forged or changed.
    #[error("its signature is not by the key {key}")]
    Signature {
        /// Whose it must be.
        key: String,
    },
    /// The note ends too early.
    #[error("it is cut off")]
    Torn,
}

impl Checkpoint {
    /// Signs it.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> Signed {
        let body = self.to_string();
        let text = format!("{body}\n{}\n", key.sign(&body));
        Signed { checkpoint: self, text }
    }
}

/// The lines that are signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)?;
        if self.oldest > 0 { writeln!(f, "oldest {}", self.oldest) } else { Ok(()) }
    }
}

impl Signed {
    /// What was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signed note, which ends with a newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads one note that is the whole text.
    ///
    /// # Errors
    /// [`CheckpointError`] unless every byte is as [`Checkpoint::sign`] writes it and the signature is the key's.
    pub fn parse(text: &str, key: &VerifyingKey) -> Result<Self, CheckpointError> {
        let (signed, rest) = Self::parse_first(text, key)?;
        let lines = || u64::try_from(signed.text.lines().count()).unwrap_or(u64::MAX);
        if rest.is_empty() { Ok(signed) } else { Err(CheckpointError::Line { line: lines() + 1, expected: "end" }) }
    }

    /// Reads the note at the beginning of `text`, and what follows it.
    pub(crate) fn parse_first<'a>(text: &'a str, key: &VerifyingKey) -> Result<(Self, &'a str), CheckpointError> {
        let mut lines = Lines { rest: text, number: 0 };
        let origin = lines.next()?;
        if origin != key.name().as_str() {
            return Err(CheckpointError::Origin {
                expected: key.name().clone(),
                found: origin.chars().take(80).collect(),
            });
        }
        let size = decimal(lines.next()?).ok_or_else(|| lines.bad("size in decimal"))?;
        let root = lines.next()?.parse().map_err(|_| lines.bad("root hash in base64"))?;
        let mut oldest = 0;
        let mut line = lines.next()?;
        if let Some(number) = line.strip_prefix("oldest ") {
            let number = decimal(number).filter(|number| (1..=size).contains(number));
            oldest = number.ok_or_else(|| lines.bad("number of the oldest record"))?;
            line = lines.next()?;
        }
        if !line.is_empty() {
            return Err(lines.bad("empty line"));
        }
        let body = &text[..text.len() - lines.rest.len() - 1];
        let line = lines.next()?;
        let signature =
            line.strip_prefix("— ").and_then(|line| line.strip_prefix(key.name().as_str())?.strip_prefix(' '));
        let signature = signature.ok_or_else(|| lines.bad("signature line of the log"))?;
        if !key.verifies(body, signature) {
            return Err(CheckpointError::Signature { key: key.to_string() });
        }
        let text = text[..text.len() - lines.rest.len()].to_owned();
        let checkpoint = Checkpoint { origin: key.name().clone(), size, root, oldest };
        Ok((Self { checkpoint, text }, lines.rest))
    }
}

/// Lines that end with a newline.
struct Lines<'a> {
    rest: &'a str,
    number: u64,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str, CheckpointError> {
        let (line, rest) = self.rest.split_once('\n').ok_or(CheckpointError::Torn)?;
        self.rest = rest;
        self.number += 1;
        Ok(line)
    }

    fn bad(&self, expected: &'static str) -> CheckpointError {
        CheckpointError::Line { line: self.number, expected }
    }
}

/// A number that is written as numbers are printed, so that each has one text.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed("example.com/log".parse().unwrap(), &[7; 32])
    }

    fn checkpoint(oldest: u64) -> Checkpoint {
        Checkpoint { origin: key().public().name().clone(), size: 1234, root: Hash::leaf(b"x"), oldest }
    }

    #[test]
    fn what_is_signed_is_read_back() {
        for oldest in [0, 1, 1234] {
            let signed = checkpoint(oldest).sign(&key());
            assert_eq!(Signed::parse(signed.text(), key().public()), Ok(signed));
        }
    }

    #[test]
    fn a_change_of_any_byte_is_found() {
        let text = checkpoint(12).sign(&key()).text().to_owned();
        for at in 0..text.len() {
            for byte in 0..=u8::MAX {
                let mut changed = text.clone().into_bytes();
                changed[at] = byte;
                let changed = String::from_utf8_lossy(&changed);
                assert_eq!(Signed::parse(&changed, key().public()).is_ok(), changed == text, "{changed}");
            }
            assert!(Signed::parse(&text[..text.floor_char_boundary(at)], key().public()).is_err());
        }
        assert!(Signed::parse(&format!("{text}x"), key().public()).is_err());
    }

    #[test]
    fn another_key_of_the_same_name_is_refused() {
        let other = SigningKey::from_seed("example.com/log".parse().unwrap(), &[8; 32]);
        let forged = checkpoint(0).sign(&other);
        let error = Signed::parse(forged.text(), key().public()).unwrap_err();
        assert!(matches!(error, CheckpointError::Signature { .. }), "{error}");
        let named = SigningKey::from_seed("example.com/gol".parse().unwrap(), &[7; 32]);
        assert!(matches!(Signed::parse(forged.text(), named.public()).unwrap_err(), CheckpointError::Origin { .. }));
    }
}
