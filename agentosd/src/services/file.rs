//! An agent's file: what is started, in whose name, and what follows its end. YAML, read as strictly as the configuration.

use policies::TimeSpan;
use protocol::ids::AgentName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// The largest file that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 64 << 10;
/// More restarts in a window than this are no bound.
const MOST_RESTARTS: u32 = 1000;

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentFile {
    /// Program and arguments.
    #[serde(deserialize_with = "command")]
    pub(crate) command: Vec<String>,
    /// The profile; the daemon's default when absent.
    #[serde(default)]
    pub(crate) policy: Option<String>,
    /// Where it works.
    #[serde(default)]
    pub(crate) workspace: Option<Workspace>,
    /// Variables.
    #[serde(default, deserialize_with = "environment")]
    pub(crate) env: BTreeMap<String, String>,
    /// In whose name it runs.
    #[serde(default)]
    pub(crate) user: User,
    /// After which ends it is started again.
    #[serde(default)]
    pub(crate) restart: Restart,
    /// How often within the window.
    #[serde(default = "max_restarts", deserialize_with = "bounded")]
    pub(crate) max_restarts: u32,
    /// The window.
    #[serde(default = "restart_window", deserialize_with = "span")]
    pub(crate) restart_window: Duration,
    /// How long it waits before.
    #[serde(default)]
    pub(crate) backoff: Backoff,
    /// It is killed when it has run so long.
    #[serde(default, deserialize_with = "some_span")]
    pub(crate) timeout: Option<Duration>,
    /// Agents with files that must run before.
    #[serde(default)]
    pub(crate) depends_on: Vec<AgentName>,
    /// How it is told whether it works.
    #[serde(default)]
    pub(crate) health: Option<Health>,
}

/// The directory that it works in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workspace {
    /// Absolute.
    pub(crate) path: String,
    /// It may only read it.
    #[serde(default)]
    pub(crate) read_only: bool,
}

/// An account of this host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(crate) enum User {
    /// By its number.
    Uid(u32),
    /// By its name.
    Name(String),
}

impl From<String> for User {
    fn from(text: String) -> Self {
        text.parse().map_or(Self::Name(text), Self::Uid)
    }
}

impl Default for User {
    fn default() -> Self {
        Self::Uid(0)
    }
}

/// After which ends it is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Restart {
    /// None.
    #[default]
    No,
    /// Those that are failures.
    OnFailure,
    /// All but those that somebody or its policy wanted.
    Always,
}

/// How long it waits before it is started again: twice as long every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenBackoff")]
pub(crate) struct Backoff {
    /// The first time.
    pub(crate) first: Duration,
    /// At most.
    pub(crate) most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_secs(60) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBackoff {
    #[serde(default, deserialize_with = "some_span")]
    first: Option<Duration>,
    #[serde(default, deserialize_with = "some_span")]
    most: Option<Duration>,
}

impl TryFrom<WrittenBackoff> for Backoff {
    type Error = &'static str;

    fn try_from(written: WrittenBackoff) -> Result<Self, Self::Error> {
        let usual = Self::default();
        let first = written.first.unwrap_or(usual.first);
        let most = written.most.unwrap_or_else(|| usual.most.max(first));
        if first > most {
            return Err("backoff: expected first to be no longer than most");
        }
        Ok(Self { first, most })
    }
}

/// How it is told whether it works.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    /// Runs in the agent; it works when this ends with 0.
    #[serde(deserialize_with = "command")]
    pub(crate) command: Vec<String>,
    /// From the end of one to the start of the next.
    #[serde(default = "interval", deserialize_with = "span")]
    pub(crate) interval: Duration,
    /// What takes longer has failed.
    #[serde(default = "timeout", deserialize_with = "span")]
    pub(crate) timeout: Duration,
    /// It does not work when so many in a row have failed.
    #[serde(default = "retries", deserialize_with = "bounded")]
    pub(crate) retries: u32,
    /// So long after its start failures do not count.
    #[serde(default, deserialize_with = "any_span")]
    pub(crate) start_period: Duration,
}

fn max_restarts() -> u32 {
    5
}

fn restart_window() -> Duration {
    Duration::from_secs(10 * 60)
}

fn interval() -> Duration {
    Duration::from_secs(30)
}

fn timeout() -> Duration {
    Duration::from_secs(5)
}

fn retries() -> u32 {
    3
}

/// A time in the language of policies.
fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    TimeSpan::deserialize(deserializer).map(TimeSpan::duration)
}

fn some_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    span(deserializer).map(Some)
}

/// The same, which may be none at all.
fn any_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "0s" {
        return Ok(Duration::ZERO);
    }
    text.parse().map(TimeSpan::duration).map_err(D::Error::custom)
}

fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (1..=MOST_RESTARTS).contains(&number) {
        return Ok(number);
    }
    Err(D::Error::custom(format_args!("{number} is out of range: expected 1 to {MOST_RESTARTS}")))
}

/// A program and arguments that `execve(2)` can carry.
fn command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let command = Vec::<String>::deserialize(deserializer)?;
    if command.first().is_none_or(String::is_empty) {
        return Err(D::Error::custom("expected a list of a program and its arguments, at least the program"));
    }
    if command.iter().any(|argument| argument.contains('\0')) {
        return Err(D::Error::custom("an argument contains a NUL byte, which no program can be given"));
    }
    Ok(command)
}

fn environment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let all = BTreeMap::<String, String>::deserialize(deserializer)?;
    let odd =
        |(name, value): &(&String, &String)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
    match all.iter().find(odd) {
        Some((name, _)) => Err(D::Error::custom(format_args!(
            "{name:?} is no variable: a name has no '=' and neither part has a NUL byte"
        ))),
        None => Ok(all),
    }
}

impl AgentFile {
    /// Reads the text; what is wrong, with line and column.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("it has more than {MAX_BYTES} bytes, which is the most that is read"));
        }
        // No piece of the text in an error: it goes to the journal, and variables may be secrets.
        let options = serde_saphyr::options! { with_snippet: false };
        let file: Option<Self> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
        file.ok_or_else(|| "it is empty: expected at least command, a list of a program and its arguments".to_owned())
    }
}

#[cfg(test)]
mod tests;
