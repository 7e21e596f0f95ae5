//! The shape of a policy file: what serde reads, before any rule is checked against another.
//!
//! Every mapping denies unknown keys. A key that is present without a value is refused like any other wrong type, so
//! that an unfinished edit never reads as "nothing said"; that is why optional values go through [`present`].

use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::absence::WithoutDaemonEntries;
use crate::cores::Cores;
use crate::env::EnvEntry;
use crate::kernel_layer::KernelLayer;
use crate::mediation::{ActionEntry, AnswerSignal, Kernel, NetworkEntry, OnViolationEntries, Rate, RuleEntry};
use crate::memory::MemoryEntries;
use crate::names::{Hostname, ProfileName};
use crate::scalar::{ScalarError, Word, deserialize_as_word};
use crate::size::Size;
use crate::template::PathTemplate;
use crate::time_span::TimeSpan;

/// A whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) extends: Vec<Spanned<ProfileName>>,
    #[serde(default)]
    pub(crate) process: Process,
    #[serde(default)]
    pub(crate) filesystem: Vec<Spanned<FsEntry>>,
    #[serde(default)]
    pub(crate) optional_layers: Vec<Spanned<KernelLayer>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) kernel: Option<Spanned<Kernel>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) signals: Option<Spanned<Vec<AnswerSignal>>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) policies: Option<Spanned<Vec<Spanned<RuleEntry>>>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) actions: Option<Spanned<Vec<Spanned<ActionEntry>>>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) network: Option<Spanned<Vec<Spanned<NetworkEntry>>>>,
    #[serde(default)]
    pub(crate) memory: MemoryEntries,
    #[serde(default)]
    pub(crate) without_daemon: WithoutDaemonEntries,
    #[serde(default, deserialize_with = "present")]
    pub(crate) on_violation: Option<Spanned<OnViolationEntries>>,
}

/// `process`: what may run, with which environment and within which limits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    #[serde(default)]
    pub(crate) exec: Vec<Spanned<PathTemplate>>,
    #[serde(default)]
    pub(crate) env: Vec<Spanned<EnvEntry>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) hostname: Option<Spanned<Hostname>>,
    #[serde(default)]
    pub(crate) limits: LimitEntries,
}

/// `process.limits`, as far as this one file sets them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitEntries {
    #[serde(default, deserialize_with = "present")]
    pub(crate) memory: Option<Spanned<Size>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) pids: Option<Spanned<Count>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) cpu: Option<Spanned<Cores>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) wall: Option<Spanned<TimeSpan>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) output: Option<Spanned<Size>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) files: Option<Spanned<Count>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) file_size: Option<Spanned<Size>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) cpu_time: Option<Spanned<TimeSpan>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) actions: Option<Spanned<Count>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) action_rate: Option<Spanned<Rate>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) repeats: Option<Spanned<Count>>,
}

/// One entry of `filesystem`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FsEntry {
    pub(crate) path: PathTemplate,
    pub(crate) access: Access,
    #[serde(default)]
    pub(crate) optional: Flag,
    #[serde(default, deserialize_with = "present")]
    pub(crate) tmpfs: Option<Size>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) exec: Option<Flag>,
    #[serde(default)]
    pub(crate) directory: Flag,
}

/// What an agent may do beneath a path, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Nothing: the path is named but not granted. An empty placeholder stands there, so that an attempt is answered
    /// with a denial instead of "no such file".
    None,
    /// Read files and list directories.
    Read,
    /// Read, and create, change and remove.
    Write,
}

impl Access {
    /// The word in the language.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::None => "none",
        }
    }
}

/// `true` or `false`, and no other word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

impl Word for Flag {
    const EXPECTED: &'static str = "true or false";
}

impl FromStr for Flag {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        match text {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err(ScalarError::new(format!("`{text}` is neither `true` nor `false`"))),
        }
    }
}

/// A whole number, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u32);

impl Word for Count {
    const EXPECTED: &'static str = "a whole number, such as 512";
}

impl FromStr for Count {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(count @ 1..) if digits => Ok(Self(count)),
            _ => Err(ScalarError::new(format!(
                "`{text}` is not a count: write a whole number from 1 to {}, such as 512",
                u32::MAX
            ))),
        }
    }
}

deserialize_as_word!(Count, Flag);

/// Reads a value that must be there once its key is.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
