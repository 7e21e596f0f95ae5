//! Scalars of the language: one word of text that either is a valid value or is refused with what was expected.
//!
//! Every newtype that a policy can contain is read through [`from_text`], so that YAML's own ideas of types (octal
//! numbers, sexagesimal times, `yes`) never decide what `memory: 4GiB` or `wall: 2h` means.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};

use crate::parse_error::unprintable;

/// Why one word was refused. The text is a fragment that names the word and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScalarError(String);

impl ScalarError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// A type that is written as one word.
pub(crate) trait Word: FromStr<Err = ScalarError> {
    /// What the reader should have found, for "expected …".
    const EXPECTED: &'static str;
}

/// Reads one word of YAML as `T`.
pub(crate) fn from_text<'de, D: Deserializer<'de>, T: Word>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(WordVisitor(PhantomData))
}

struct WordVisitor<T>(PhantomData<T>);

impl<T: Word> Visitor<'_> for WordVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Implements `Deserialize` for types that are one word.
macro_rules! deserialize_as_word {
    ($($name:ty),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::scalar::from_text(deserializer)
            }
        }
    )+};
}
pub(crate) use deserialize_as_word;

/// Text that stays text but may not be empty or show itself as something else (paths, patterns).
pub(crate) fn plain_text(what: &str, text: &str) -> Result<String, ScalarError> {
    if text.is_empty() {
        return Err(ScalarError::new(format!("{what} is empty")));
    }
    match text.chars().find(|c| unprintable(*c)) {
        Some(c) => Err(ScalarError::new(format!("{what} contains the unprintable character {}", c.escape_unicode()))),
        None => Ok(text.to_owned()),
    }
}
