//! Ed25519 keys of signed notes, as text: `PRIVATE+KEY+NAME+ID+KEY` for signing, `NAME+ID+KEY` (a vkey) for verifying.
//!
//! The texts are those that Go's `sumdb/note` reads and writes. The id is the first four bytes of
//! SHA-256(name, newline, 0x01, public key).

use super::{BadOrigin, Origin};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// The type of signature: Ed25519 over the text of the note.
const ED25519: u8 = 1;
/// Begins the text of a signing key.
const PRIVATE: &str = "PRIVATE+KEY+";

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not of that form.
    #[error("the text is no {0} key")]
    Form(&'static str),
    /// Its name is none.
    #[error("read the key's name")]
    Name(#[source] BadOrigin),
    /// The id in it belongs to another name or key.
    #[error("the key's id is {found} and not {expected}: the name or the key was changed")]
    Id {
        /// Of this name and key.
        expected: String,
        /// As written.
        found: String,
    },
    /// 32 bytes that are no point of the curve, or one of small order.
    #[error("the bytes are no Ed25519 public key")]
    Point,
}

/// Verifies what a log has signed.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: Origin,
    id: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    fn new(name: Origin, key: ed25519_dalek::VerifyingKey) -> Self {
        let hash =
            Sha256::new().chain_update(name.as_str()).chain_update([b'\n', ED25519]).chain_update(key.as_bytes());
        let hash = hash.finalize();
        Self { name, id: [hash[0], hash[1], hash[2], hash[3]], key }
    }

    /// Whose signatures it verifies.
    #[must_use]
    pub fn name(&self) -> &Origin {
        &self.name
    }

    /// The id as 8 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        hex(self.id)
    }

    /// Whether `signature`, base64 of id and signature as in a note, is this key's over `text`.
    pub(super) fn verifies(&self, text: &str, signature: &str) -> bool {
        let mut bytes = [0; 69];
        let Ok(68) = STANDARD.decode_slice(signature, &mut bytes) else { return false };
        let (id, signature) = bytes[..68].split_at(4);
        let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else { return false };
        // Strict: what this accepts, every other verifier accepts too.
        id == self.id && self.key.verify_strict(text.as_bytes(), &signature).is_ok()
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, id, bytes) = parts(text.trim_end(), "verification")?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Point)?;
        if key.is_weak() {
            return Err(KeyError::Point);
        }
        same_id(Self::new(name, key), id)
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.id(), encode(self.key.as_bytes()))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// Signs for a log. Its bytes are wiped from memory when it is dropped, and it is not shown by `Debug`.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key of these 32 bytes, which must be random and secret.
    #[must_use]
    pub fn from_seed(name: Origin, seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingKey::new(name, key.verifying_key());
        Self { key, public }
    }

    /// Reads what [`secret_text`](Self::secret_text) has written.
    ///
    /// # Errors
    /// [`KeyError`]; it does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.trim_end().strip_prefix(PRIVATE).ok_or(KeyError::Form("signing"))?;
        let (name, id, seed) = parts(rest, "signing")?;
        let key = Self::from_seed(name, &seed);
        same_id(key.public.clone(), id)?;
        Ok(key)
    }

    /// The key as text. It is the secret.
    #[must_use]
    pub fn secret_text(&self) -> String {
        format!("{PRIVATE}{}+{}+{}", self.public.name, self.public.id(), encode(self.key.as_bytes()))
    }

    /// Verifies what this key signs.
    #[must_use]
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// The line that signs `text`, without its newline.
    pub(super) fn sign(&self, text: &str) -> String {
        let mut bytes = self.public.id.to_vec();
        bytes.extend(self.key.sign(text.as_bytes()).to_bytes());
        format!("— {} {}", self.public.name, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {:?})", self.public)
    }
}

/// Type and key in base64.
fn encode(key: &[u8; 32]) -> String {
    let mut bytes = vec![ED25519];
    bytes.extend(key);
    STANDARD.encode(bytes)
}

/// `NAME+ID+KEY`. The key may contain a `+`, the name may not.
fn parts<'a>(text: &'a str, what: &'static str) -> Result<(Origin, &'a str, [u8; 32]), KeyError> {
    let form = || KeyError::Form(what);
    let (name, rest) = text.split_once('+').ok_or_else(form)?;
    let (id, key) = rest.split_once('+').ok_or_else(form)?;
    let bytes = STANDARD.decode(key).map_err(|_| form())?;
    let Some((&ED25519, key)) = bytes.split_first() else { return Err(form()) };
    let key = key.try_into().map_err(|_| form())?;
    Ok((name.parse().map_err(KeyError::Name)?, id, key))
}

fn same_id(key: VerifyingKey, found: &str) -> Result<VerifyingKey, KeyError> {
    if key.id() == found { Ok(key) } else { Err(KeyError::Id { expected: key.id(), found: found.to_owned() }) }
}

fn hex(bytes: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Go's `sumdb/note` package: published, and good for nothing else.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SKEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const SIGNATURE: &str =
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

    #[test]
    fn keys_and_signatures_are_those_of_go() {
        let (public, secret) = (VKEY.parse::<VerifyingKey>().unwrap(), SigningKey::parse(SKEY).unwrap());
        assert_eq!((public.to_string(), secret.secret_text()), (VKEY.to_owned(), SKEY.to_owned()));
        assert_eq!(secret.public(), &public);
        assert_eq!(secret.sign(TEXT), SIGNATURE);
        let signature = SIGNATURE.rsplit(' ').next().unwrap();
        assert!(public.verifies(TEXT, signature));
        assert!(!public.verifies("another text\n", signature));
    }

    #[test]
    fn a_changed_key_is_refused() {
        for bad in
            ["", "a+b", &VKEY.replace("Peter", "peter"), &VKEY.replace("c74f", "c74e"), &VKEY.replace("ARpc", "ARpd")]
        {
            assert!(bad.parse::<VerifyingKey>().is_err(), "{bad}");
        }
        assert!(SigningKey::parse(VKEY).is_err());
        assert!(SigningKey::parse(&SKEY.replace("AYEK", "AYEL")).is_err());
        assert!(!format!("{:?}", SigningKey::parse(SKEY).unwrap()).contains("AYEK"), "the secret is not shown");
    }
}
