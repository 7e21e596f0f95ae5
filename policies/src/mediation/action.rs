//! Actions: what an agent can ask for, and commands that an operator adds to it.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

use crate::mediation::Condition;
use crate::names::ProfileName;
use crate::origin::Origin;
use crate::scalar::{ScalarError, Word, deserialize_as_word, plain_text};
use crate::schema::{Count, Flag, present};

/// The name of an action: lower-case letters, digits and `_`, a letter first, at most 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionName(Arc<str>);

impl ActionName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ActionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Word for ActionName {
    const EXPECTED: &'static str = "the name of an action, such as file_read";
}

impl FromStr for ActionName {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(legal) {
            return Ok(Self(text.into()));
        }
        Err(ScalarError::new(format!(
            "`{text}` is not an action's name: use lower-case letters, digits and `_`, a letter first, at most 64"
        )))
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a rule is about: one action, or all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionPattern {
    /// The action of this name.
    Named(ActionName),
    /// `*`: every action.
    Any,
}

impl Word for ActionPattern {
    const EXPECTED: &'static str = "the name of an action, such as file_read, or \"*\"";
}

impl FromStr for ActionPattern {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        if text == "*" { Ok(Self::Any) } else { text.parse().map(Self::Named) }
    }
}

impl fmt::Display for ActionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            Self::Any => f.write_str("\"*\""),
        }
    }
}

/// The sorts of action: what a request of each brings along, and whether it changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names of the actions say it; docs/policy.md describes them")]
pub enum Kind {
    FileRead,
    FileWrite,
    FileDelete,
    ListDirectory,
    ProcessExec,
    HttpRequest,
    DatabaseQuery,
    MemoryRead,
    MemoryWrite,
    SendMessage,
    /// A command of the operator's; true when the operator says that it changes nothing.
    Registered {
        read_only: bool,
    },
    /// A connection of the agent's own, which `network` decides about and no rule about actions.
    Network,
}

impl Kind {
    /// The actions that every agent can ask for.
    pub const BUILT_IN: [(&'static str, Self); 10] = [
        ("file_read", Self::FileRead),
        ("file_write", Self::FileWrite),
        ("file_delete", Self::FileDelete),
        ("list_directory", Self::ListDirectory),
        ("process_exec", Self::ProcessExec),
        ("http_request", Self::HttpRequest),
        ("database_query", Self::DatabaseQuery),
        ("memory_read", Self::MemoryRead),
        ("memory_write", Self::MemoryWrite),
        ("send_message", Self::SendMessage),
    ];

    /// The built-in action of this name.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        Self::BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Whether a request of this sort brings what `condition` looks at.
    #[must_use]
    pub fn has(self, condition: Condition) -> bool {
        match condition {
            Condition::Paths => matches!(
                self,
                Self::FileRead
                    | Self::FileWrite
                    | Self::FileDelete
                    | Self::ListDirectory
                    | Self::MemoryRead
                    | Self::MemoryWrite
            ),
            Condition::Exec | Condition::Argv => self == Self::ProcessExec,
            Condition::Hosts | Condition::Ports => matches!(self, Self::HttpRequest | Self::Network),
            Condition::Methods => matches!(self, Self::HttpRequest | Self::Network),
            Condition::Databases | Condition::Statements => self == Self::DatabaseQuery,
        }
    }

    /// Whether every request of this sort changes something, whatever else it says.
    #[must_use]
    pub fn always_changes(self) -> bool {
        match self {
            Self::FileRead | Self::ListDirectory | Self::MemoryRead => false,
            Self::HttpRequest | Self::DatabaseQuery | Self::Network => false,
            Self::Registered { read_only } => !read_only,
            Self::FileWrite | Self::FileDelete | Self::ProcessExec | Self::MemoryWrite | Self::SendMessage => true,
        }
    }
}

/// One entry of `actions`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActionEntry {
    pub(crate) name: ActionName,
    pub(crate) command: Vec<CommandWord>,
    #[serde(default)]
    pub(crate) params: BTreeMap<ActionName, Param>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) profile: Option<ProfileName>,
    #[serde(default)]
    pub(crate) read_only: Flag,
}

/// A command of the operator's that agents can ask for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredAction {
    /// The action's name.
    pub name: ActionName,
    /// The program, by its absolute path, and its arguments.
    pub command: Vec<String>,
    /// What a request may say, by name. A parameter that is not here is refused.
    pub params: BTreeMap<ActionName, Param>,
    /// The profile that the command runs under; otherwise the agent's own policy.
    pub profile: Option<ProfileName>,
    /// Whether the operator says that it changes nothing.
    pub read_only: bool,
    /// Where it is declared.
    pub origin: Origin,
}

impl ActionEntry {
    pub(crate) fn registered(&self, origin: Origin) -> RegisteredAction {
        RegisteredAction {
            name: self.name.clone(),
            command: self.command.iter().map(|word| word.0.clone()).collect(),
            params: self.params.clone(),
            profile: self.profile.clone(),
            read_only: self.read_only.0,
            origin,
        }
    }
}

impl RegisteredAction {
    /// What sort of action it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Registered { read_only: self.read_only }
    }
}

/// One parameter of a registered action.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: ParamType,
    #[serde(default)]
    required: Flag,
    #[serde(default, deserialize_with = "present")]
    max_length: Option<Count>,
}

impl Param {
    /// Whether a request without it is refused.
    #[must_use]
    pub fn required(&self) -> bool {
        self.required.0
    }

    /// The most bytes of a string.
    #[must_use]
    pub fn max_length(&self) -> Option<u32> {
        self.max_length.map(|count| count.0)
    }
}

/// The types of parameters, as in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "JSON's own names")]
pub enum ParamType {
    String,
    Integer,
    Number,
    Boolean,
}

impl fmt::Display for ParamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        })
    }
}

/// One word of a registered command.
#[derive(Clone, Debug)]
pub(crate) struct CommandWord(pub(crate) String);

impl Word for CommandWord {
    const EXPECTED: &'static str = "a word of a command";
}

impl FromStr for CommandWord {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        // An empty argument is one.
        if text.is_empty() { Ok(Self(String::new())) } else { plain_text("the word", text).map(Self) }
    }
}

deserialize_as_word!(ActionName, ActionPattern, CommandWord);
