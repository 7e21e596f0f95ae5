//! Hashes of leaves and nodes, RFC 6962 section 2.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// A SHA-256 hash of a leaf, of a node, or of a whole tree; shown in base64 (RFC 4648 section 4), 44 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

/// A text that is no hash.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{given:?} is no SHA-256 hash: expected 44 characters of base64")]
pub struct BadHash {
    given: String,
}

impl Hash {
    /// Characters of the text.
    pub const TEXT: usize = 44;

    /// The hash of a leaf. Leaves and nodes begin with different bytes, so that no node passes for a leaf.
    #[must_use]
    pub fn leaf(bytes: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(bytes).finalize().into())
    }

    /// The hash of a node with two children.
    #[must_use]
    pub fn node(left: &Self, right: &Self) -> Self {
        let mut bytes = [1; 65];
        bytes[1..33].copy_from_slice(&left.0);
        bytes[33..].copy_from_slice(&right.0);
        Self(Sha256::digest(bytes).into())
    }

    /// The hash of a tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The text in a buffer of its own size: a verifier compares one for every record.
    #[must_use]
    pub fn text(&self) -> [u8; Self::TEXT] {
        let mut text = [0; Self::TEXT];
        let length = STANDARD.encode_slice(self.0, &mut text);
        debug_assert_eq!(length.ok(), Some(Self::TEXT), "32 bytes are 44 characters");
        text
    }
}

impl FromStr for Hash {
    type Err = BadHash;
    fn from_str(text: &str) -> Result<Self, BadHash> {
        let bad = || BadHash { given: text.chars().take(80).collect() };
        let mut bytes = [0; 33];
        // The engine refuses bits that mean nothing, so that one hash has one text.
        match STANDARD.decode_slice(text, &mut bytes) {
            Ok(32) if text.len() == Self::TEXT => {
                let mut hash = [0; 32];
                hash.copy_from_slice(&bytes[..32]);
                Ok(Self(hash))
            }
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for Hash {
    type Error = BadHash;
    fn try_from(text: String) -> Result<Self, BadHash> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_text() {
        let text = Hash::empty().to_string();
        // printf '' | openssl dgst -sha256 -binary | base64
        assert_eq!(text, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(text.as_bytes(), Hash::empty().text());
        assert_eq!(text.parse(), Ok(Hash::empty()));
        let other_bits = text.replace("FU=", "FV=");
        for bad in [&text[..43], &text.replace('=', ""), &format!("{text}\n"), "", &other_bits] {
            assert!(bad.parse::<Hash>().is_err(), "{bad:?}");
        }
    }
}
