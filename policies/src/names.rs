//! Names of profiles, variables of the environment and hosts.

use std::fmt;
use std::str::FromStr;

use crate::scalar::{ScalarError, Word, deserialize_as_word};

/// The name of a profile: lower-case letters, digits and `-`, starting with a letter, at most 64 characters.
///
/// A name is never a path, so a loader may append it to a directory without looking at it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(String);

impl ProfileName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Word for ProfileName {
    const EXPECTED: &'static str = "the name of a profile, such as base";
}

impl FromStr for ProfileName {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ScalarError::new(format!(
                "`{text}` is not a profile's name: use lower-case letters, digits and `-`, a letter first, at most 64"
            )))
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host name that the agent sees, one label: letters, digits and inner `-`, at most 63 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname(String);

impl Hostname {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Word for Hostname {
    const EXPECTED: &'static str = "a host name of one label, such as agent";
}

impl FromStr for Hostname {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let inner = !text.starts_with('-') && !text.ends_with('-');
        if (1..=63).contains(&text.len()) && inner && text.bytes().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ScalarError::new(format!(
                "`{text}` is not a host name: use letters, digits and inner `-`, at most 63, without a dot"
            )))
        }
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

deserialize_as_word!(ProfileName, Hostname);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_name_can_never_be_a_path() {
        assert!("coding-agent".parse::<ProfileName>().is_ok());
        for text in ["", ".", "..", "a/b", "/etc/shadow", "A", "1a", "-a", "a.yaml", "a b", "ä", "a\0"] {
            assert!(text.parse::<ProfileName>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_hostname_is_one_label() {
        assert!("agent-1".parse::<Hostname>().is_ok());
        for text in ["", "-a", "a-", "a.b", "a_b", "a b", "ä"] {
            assert!(text.parse::<Hostname>().is_err(), "{text:?} was taken");
        }
    }
}
