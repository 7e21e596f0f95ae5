//! Entries of `process.env`: `NAME` passes the caller's variable on, `NAME=value` sets one.

use std::fmt;
use std::str::FromStr;

use crate::scalar::{ScalarError, Word, deserialize_as_word};
use crate::template::Template;

/// The name of an environment variable: letters, digits and `_`, not starting with a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvName(String);

impl EnvName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnvName {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let digit_first = text.starts_with(|c: char| c.is_ascii_digit());
        if text.is_empty() || digit_first || !text.bytes().all(legal) {
            return Err(ScalarError::new(format!(
                "`{text}` is not the name of a variable: use letters, digits and `_`, and no digit first"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a variable gets its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EnvValue {
    /// From whoever starts the agent, if it is set there.
    FromCaller,
    /// From the policy.
    Fixed(Template),
}

/// One entry as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EnvEntry {
    pub(crate) name: EnvName,
    pub(crate) value: EnvValue,
}

impl Word for EnvEntry {
    const EXPECTED: &'static str = "`NAME` to pass a variable on or `NAME=value` to set it";
}

impl FromStr for EnvEntry {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let Some((name, value)) = text.split_once('=') else {
            return Ok(Self { name: text.parse()?, value: EnvValue::FromCaller });
        };
        if value.contains('\0') {
            return Err(ScalarError::new(format!("the value of `{name}` contains a NUL byte")));
        }
        Ok(Self { name: name.parse()?, value: EnvValue::Fixed(value.parse()?) })
    }
}

deserialize_as_word!(EnvEntry);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_passes_on_and_a_value_may_contain_equals_signs() {
        let entry: EnvEntry = "LANG".parse().expect("a name");
        assert_eq!(entry.value, EnvValue::FromCaller);
        let entry: EnvEntry = "OPTS=a=b ${home}".parse().expect("a value");
        assert_eq!(
            (entry.name.as_str(), entry.value),
            ("OPTS", EnvValue::Fixed("a=b ${home}".parse().expect("template")))
        );
    }

    #[test]
    fn names_that_no_shell_can_set_are_refused() {
        for text in ["", "=x", "1A", "A-B", "A B=c", "Ä=1", "A\0=1", "A=\0", "A=${nope}"] {
            assert!(text.parse::<EnvEntry>().is_err(), "{text:?} was taken");
        }
    }
}
