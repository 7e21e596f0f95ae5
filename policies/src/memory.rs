//! `memory`: how much each part of what an agent remembers may hold, with whom it is shared, and what happens to the
//! agent when the process that serves it is lost.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::merge::override_with;
use crate::origin::Rule;
use crate::parse::Document;
use crate::scalar::{ScalarError, Word, deserialize_as_word};
use crate::schema::{Count, present};
use crate::size::Size;

/// Files, directories and links in each part, when the policy does not say.
const INODES: u64 = 65_536;
/// The same in `/mem/working`, whose every file takes kernel memory.
const WORKING_INODES: u64 = 16_384;

/// Bytes of the smallest part: a file alone counts 4 KiB.
const LEAST: u64 = 64 << 10;

/// `memory`, as far as one file sets it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemoryEntries {
    #[serde(default, deserialize_with = "present")]
    working: Option<Spanned<Size>>,
    #[serde(default, deserialize_with = "present")]
    episodic: Option<Spanned<Size>>,
    #[serde(default, deserialize_with = "present")]
    semantic: Option<Spanned<Size>>,
    #[serde(default, deserialize_with = "present")]
    procedural: Option<Spanned<Size>>,
    #[serde(default, deserialize_with = "present")]
    state: Option<Spanned<Size>>,
    #[serde(default, deserialize_with = "present")]
    inodes: Option<Spanned<Count>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) semantic_shared: Option<Spanned<StoreName>>,
    #[serde(default, deserialize_with = "present")]
    on_vfs_loss: Option<Spanned<OnVfsLoss>>,
}

impl MemoryEntries {
    /// The first part that could hold nothing.
    pub(crate) fn too_small(&self) -> Option<&Spanned<Size>> {
        let parts = [&self.working, &self.episodic, &self.semantic, &self.procedural, &self.state];
        parts.into_iter().flatten().find(|size| size.value.bytes() < LEAST)
    }
}

/// What an agent can remember, and how much. A part without a size is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// `/mem/working`: in memory, gone with the agent.
    pub working: Option<Rule<Size>>,
    /// `/mem/episodic`: append-only.
    pub episodic: Option<Rule<Size>>,
    /// `/mem/semantic`.
    pub semantic: Option<Rule<Size>>,
    /// `/mem/procedural`: for the agent to read.
    pub procedural: Option<Rule<Size>>,
    /// `/state`: checkpoints.
    pub state: Option<Rule<Size>>,
    /// Files, directories and links in each part.
    pub inodes: Option<Rule<u32>>,
    /// `/mem/semantic` is this store, with all agents whose policies name it.
    pub semantic_shared: Option<Rule<StoreName>>,
    /// What happens to the agent when the process that serves its files is lost.
    pub on_vfs_loss: Option<Rule<OnVfsLoss>>,
}

impl Memory {
    /// Takes over what a further file says; of each key the later one stands.
    pub(crate) fn add(&mut self, document: &Document, entries: &MemoryEntries) {
        let size = |size: &Size| *size;
        override_with(&mut self.working, document, entries.working.as_ref(), size);
        override_with(&mut self.episodic, document, entries.episodic.as_ref(), size);
        override_with(&mut self.semantic, document, entries.semantic.as_ref(), size);
        override_with(&mut self.procedural, document, entries.procedural.as_ref(), size);
        override_with(&mut self.state, document, entries.state.as_ref(), size);
        override_with(&mut self.inodes, document, entries.inodes.as_ref(), |count| count.0);
        override_with(&mut self.semantic_shared, document, entries.semantic_shared.as_ref(), StoreName::clone);
        override_with(&mut self.on_vfs_loss, document, entries.on_vfs_loss.as_ref(), |answer| *answer);
    }

    /// The parts that are there, in the order of their keys.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Rule<Size>)> {
        let parts = [
            ("working", &self.working),
            ("episodic", &self.episodic),
            ("semantic", &self.semantic),
            ("procedural", &self.procedural),
            ("state", &self.state),
        ];
        parts.into_iter().filter_map(|(key, rule)| Some((key, rule.as_ref()?)))
    }

    /// Files, directories and links that the part may hold.
    ///
    /// ```
    /// let policy = policies::resolve_profile(&"base".parse()?, &policies::Shipped)?;
    /// assert_eq!((policy.memory.inodes_of("working"), policy.memory.inodes_of("state")), (16_384, 65_536));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn inodes_of(&self, part: &str) -> u64 {
        let default = if part == "working" { WORKING_INODES } else { INODES };
        self.inodes.as_ref().map_or(default, |rule| rule.value.into())
    }

    /// What happens when the process that serves the files is lost.
    #[must_use]
    pub fn on_vfs_loss(&self) -> OnVfsLoss {
        self.on_vfs_loss.as_ref().map_or(OnVfsLoss::Remount, |rule| rule.value)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.parts().map(|(key, rule)| format!("{key} {}", rule.value)).collect();
        f.write_str(if parts.is_empty() { "none" } else { "" })?;
        f.write_str(&parts.join(", "))?;
        if let Some(shared) = &self.semantic_shared {
            write!(f, ", semantic shared as {}", shared.value)?;
        }
        Ok(())
    }
}

/// What happens to an agent when the process that serves its files is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnVfsLoss {
    /// SIGSTOP, for somebody to look.
    Stop,
    /// It goes on, with its files mounted anew.
    Remount,
}

impl fmt::Display for OnVfsLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "stop",
            Self::Remount => "remount",
        })
    }
}

/// The name of a store that agents share: lower-case letters, digits and `-`, starting with a letter, at most 63
/// characters. It is never a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreName(String);

impl StoreName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Word for StoreName {
    const EXPECTED: &'static str = "the name of a shared store, such as team-notes";
}

impl FromStr for StoreName {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.len() <= 63 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ScalarError::new(format!(
                "`{text}` is not a store's name: use lower-case letters, digits and `-`, a letter first, at most 63"
            )))
        }
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

deserialize_as_word!(StoreName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stores_name_can_never_be_a_path() {
        assert!("team-notes".parse::<StoreName>().is_ok());
        for text in ["", ".", "..", "a/b", "A", "1a", "-a", "a.b", "a b", "ä", "a\0"] {
            assert!(text.parse::<StoreName>().is_err(), "{text:?} was taken");
        }
    }
}
