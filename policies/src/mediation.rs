//! The keys by which requests are mediated: `kernel`, `signals`, `policies`, `network`, `on_violation`.
//!
//! They are read strictly, so that a policy with a mistake in them never loads; nothing here enforces them, and an
//! effective policy lists them as not enforced until something does.

use std::str::FromStr;

use serde::Deserialize;

use crate::scalar::{ScalarError, Word, deserialize_as_word, plain_text};
use crate::schema::{Flag, present};
use crate::suggest::nearest;

/// `kernel`: the version of the language and how strictly violations are answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checked for its type now, enforced by a later room")]
pub(crate) struct Kernel {
    version: Version,
    #[serde(default, deserialize_with = "present")]
    mode: Option<Mode>,
}

/// The one version of the language that there is.
#[derive(Clone, Debug)]
struct Version;

impl Word for Version {
    const EXPECTED: &'static str = "the version \"1.0\"";
}

impl FromStr for Version {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        match text {
            "1.0" => Ok(Self),
            _ => {
                Err(ScalarError::new(format!("`{text}` is not a known version of the policy language: write \"1.0\"")))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Strict,
    Permissive,
    Audit,
}

/// A signal that a policy may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Signal {
    SigInt,
    SigTerm,
    SigHup,
    SigUsr1,
    SigUsr2,
    SigKill,
    SigStop,
    SigCont,
    SigPolicy,
    SigTrust,
    SigBudget,
    SigLoop,
    SigDrift,
}

/// One entry of `policies`: which action, and under which conditions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checked for its type now, enforced by a later room")]
pub(crate) struct PolicyRule {
    action: Action,
    #[serde(default, deserialize_with = "present")]
    effect: Option<Effect>,
    #[serde(default, deserialize_with = "present")]
    mode: Option<ActionMode>,
    #[serde(default)]
    paths: Vec<Pattern>,
    #[serde(default)]
    requires_approval: Flag,
}

/// The actions that an agent can ask for.
const ACTIONS: [&str; 11] = [
    "file_read",
    "file_write",
    "file_delete",
    "list_directory",
    "process_exec",
    "http_request",
    "database_query",
    "memory_read",
    "memory_write",
    "send_message",
    "*",
];

#[derive(Clone, Debug)]
#[expect(dead_code, reason = "checked for its type now, enforced by a later room")]
struct Action(&'static str);

impl Word for Action {
    const EXPECTED: &'static str = "the name of an action, such as file_read, or \"*\"";
}

impl FromStr for Action {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        if let Some(known) = ACTIONS.into_iter().find(|known| *known == text) {
            return Ok(Self(known));
        }
        let hint = nearest(text, ACTIONS).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
        Err(ScalarError::new(format!("unknown action `{text}`{hint} (known: {})", ACTIONS.join(", "))))
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActionMode {
    ReadOnly,
}

/// A pattern of paths, such as `/data/**`.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "checked for its type now, enforced by a later room")]
struct Pattern(String);

impl Word for Pattern {
    const EXPECTED: &'static str = "a pattern of paths, such as \"/data/**\"";
}

impl FromStr for Pattern {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let pattern = plain_text("the pattern", text)?;
        if !pattern.starts_with('/') && !pattern.starts_with("${") {
            return Err(ScalarError::new(format!("the pattern `{text}` is not absolute")));
        }
        if pattern.split('/').any(|part| part == "." || part == "..") {
            return Err(ScalarError::new(format!("the pattern `{text}` contains `.` or `..`")));
        }
        Ok(Self(pattern))
    }
}

/// One entry of `network`: a destination.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checked for its type now, enforced by a later room")]
pub(crate) struct NetworkRule {
    host: HostPattern,
    ports: Vec<Port>,
    #[serde(default, deserialize_with = "present")]
    methods: Option<Vec<Method>>,
}

/// A host's name, or `*.` and a name for everything beneath it.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "checked for its type now, enforced by a later room")]
struct HostPattern(String);

impl Word for HostPattern {
    const EXPECTED: &'static str = "a host name, such as api.example.com or \"*.example.org\"";
}

impl FromStr for HostPattern {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(ScalarError::new(format!(
                "`{text}` is not a host name (a `*.` may only stand at its beginning)"
            )));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "checked for its type now, enforced by a later room")]
struct Port(u16);

impl Word for Port {
    const EXPECTED: &'static str = "a port from 1 to 65535";
}

impl FromStr for Port {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        match text.parse() {
            Ok(port @ 1..) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(Self(port)),
            _ => Err(ScalarError::new(format!("`{text}` is not a port: write a number from 1 to 65535"))),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// `on_violation`: the answer to a forbidden act.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checked for its type now, enforced by a later room")]
pub(crate) struct OnViolation {
    #[serde(default, deserialize_with = "present")]
    default: Option<Answer>,
    #[serde(default, deserialize_with = "present")]
    tripwires: Option<Answer>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Answer {
    #[serde(rename = "deny")]
    Deny,
    #[serde(rename = "SIGSTOP")]
    Stop,
    #[serde(rename = "SIGKILL")]
    Kill,
}

deserialize_as_word!(Version, Action, Pattern, HostPattern, Port);
