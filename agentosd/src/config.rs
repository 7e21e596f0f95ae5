//! The configuration file: YAML, every key optional, an unknown one an error with its line.

use policies::{Size, TimeSpan};
use serde::{Deserialize, Deserializer};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the operator may set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The group whose members may use the control socket, besides root.
    pub(crate) group: String,
    /// The policy of an agent that is started without one.
    pub(crate) default_policy: String,
    /// Where profiles are looked for before the shipped ones, in this order.
    pub(crate) policy_dirs: Vec<PathBuf>,
    /// Where agents' own files lie, which start with the daemon.
    pub(crate) agents_dir: PathBuf,
    /// Host uids for agents; no account of the host may lie in it.
    pub(crate) uid_range: UidRange,
    /// Most agents that live at one time.
    pub(crate) max_agents: usize,
    /// Most of them that one user other than root may have.
    pub(crate) max_agents_per_user: usize,
    /// Ended agents that are kept until their records are removed.
    pub(crate) max_ended_agents: usize,
    /// Bytes on disk that these may take together.
    #[serde(deserialize_with = "bytes")]
    pub(crate) max_ended_size: u64,
    /// Most connections of one uid at one time.
    pub(crate) max_connections_per_uid: usize,
    /// Stages that are kept prepared, so that a launch does not wait for one.
    pub(crate) spares: usize,
    /// The stage's program; beside the daemon's own, in ../libexec/agentos from there, or in
    /// /usr/libexec/agentos, when absent.
    pub(crate) stage_path: Option<PathBuf>,
    /// The program that serves agents' files; looked for as the stage's when absent.
    pub(crate) vfs_path: Option<PathBuf>,
    /// The program that carries out actions; looked for as the stage's when absent.
    pub(crate) executor_path: Option<PathBuf>,
    /// Start only where the kernel passes an agent's reads and writes through to its store.
    pub(crate) vfs_passthrough: bool,
    /// List what the kernel refuses agents.
    pub(crate) denial_log: bool,
    /// The name of a new audit log, like a URL without the scheme; `HOSTNAME/agentos-audit` when absent.
    pub(crate) audit_origin: Option<String>,
    /// Bytes of the audit log that are kept; everything when absent.
    #[serde(deserialize_with = "some_bytes")]
    pub(crate) audit_max_size: Option<u64>,
    /// What the names of databases in policies mean.
    pub(crate) databases: Vec<Database>,
    /// How long an action waits for a person's approval.
    #[serde(deserialize_with = "span")]
    pub(crate) approval_wait: Duration,
    /// How long what was approved may be used.
    #[serde(deserialize_with = "span")]
    pub(crate) approval_valid: Duration,
    /// A command that is told of each action that waits, as JSON on its standard input.
    pub(crate) approval_notify: Vec<String>,
}

/// A database that agents may ask for by its name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenDatabase")]
pub(crate) struct Database {
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) engine: Engine,
}

/// What a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// A file.
    Sqlite(PathBuf),
    /// A server that listens in a directory of this host.
    Postgres {
        /// As libpq takes it.
        connection: String,
        /// The directory.
        socket: PathBuf,
        /// A file with the role's password.
        password_file: Option<PathBuf>,
    },
}

/// One entry of `databases`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDatabase {
    name: String,
    sqlite: Option<PathBuf>,
    postgres: Option<String>,
    password_file: Option<PathBuf>,
}

impl TryFrom<WrittenDatabase> for Database {
    type Error = String;

    fn try_from(written: WrittenDatabase) -> Result<Self, String> {
        let WrittenDatabase { name, sqlite, postgres, password_file } = written;
        let engine = match (sqlite, postgres) {
            (Some(path), None) if path.is_absolute() && password_file.is_none() => Engine::Sqlite(path),
            (None, Some(connection)) => {
                let host = connection.split_whitespace().find_map(|word| word.strip_prefix("host="));
                let socket = host.filter(|host| host.starts_with('/')).map(PathBuf::from).ok_or_else(|| {
                    format!("the database {name}: expected host=/DIRECTORY in postgres: the directory of its socket")
                })?;
                Engine::Postgres { connection, socket, password_file }
            }
            _ => return Err(format!("the database {name}: expected either sqlite (an absolute path) or postgres")),
        };
        Ok(Self { name, engine })
    }
}

/// A range of host uids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UidRange {
    /// The first.
    pub(crate) first: u32,
    /// How many.
    pub(crate) count: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group: "agentos".into(),
            default_policy: "base".into(),
            policy_dirs: vec!["/etc/agentos/policies".into()],
            agents_dir: "/etc/agentos/agents.d".into(),
            uid_range: UidRange { first: 1_900_000_000, count: 65_536 },
            max_agents: 4_000,
            max_agents_per_user: 64,
            max_ended_agents: 1_000,
            max_ended_size: 4 << 30,
            max_connections_per_uid: 64,
            spares: 8,
            stage_path: None,
            vfs_path: None,
            executor_path: None,
            vfs_passthrough: true,
            denial_log: true,
            audit_origin: None,
            audit_max_size: None,
            databases: Vec::new(),
            approval_wait: Duration::from_secs(15 * 60),
            approval_valid: Duration::from_secs(10 * 60),
            approval_notify: Vec::new(),
        }
    }
}

/// An amount of bytes in the language of policies.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Size::deserialize(deserializer).map(Size::bytes)
}

/// A time in the language of policies.
fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    TimeSpan::deserialize(deserializer).map(|span| Duration::from_secs(span.seconds()))
}

fn some_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    bytes(deserializer).map(Some)
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what is expected.
    #[error("the configuration {}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong.
        message: String,
    },
    /// A value is outside of what can be.
    #[error("the configuration {}: {key}: {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What was expected.
        expected: String,
    },
}

impl Config {
    /// Reads the file; with `optional`, one that does not exist is an empty one.
    pub(crate) fn read(path: &Path, optional: bool) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if optional && error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        // A file of comments alone is YAML's null.
        let config: Option<Self> = serde_saphyr::from_str(text)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), message: error.to_string() })?;
        let config = config.unwrap_or_default();
        let wrong =
            |key, expected: &str| Err(ConfigError::Value { path: path.to_owned(), key, expected: expected.to_owned() });
        let UidRange { first, count } = config.uid_range;
        if first < 1 || count < 3 || first.checked_add(count).is_none_or(|end| end > crate::uids::LAST) {
            return wrong("uid_range", "expected at least 3 uids, none of them 0 and all below 4294967294");
        }
        if config.max_agents == 0 {
            return wrong("max_agents", "expected at least 1");
        }
        if config.max_agents_per_user == 0 {
            return wrong("max_agents_per_user", "expected at least 1; who may start none is not in the group");
        }
        if config.max_connections_per_uid == 0 {
            return wrong("max_connections_per_uid", "expected at least 1");
        }
        if config.spares > 64 {
            return wrong("spares", "expected at most 64; each holds memory and waits");
        }
        if let Some(relative) = config
            .policy_dirs
            .iter()
            .chain(&config.stage_path)
            .chain(&config.vfs_path)
            .chain(&config.executor_path)
            .chain([&config.agents_dir])
            .find(|path| !path.is_absolute())
        {
            return wrong(
                "policy_dirs, agents_dir, stage_path, vfs_path, executor_path",
                &format!("{} is not an absolute path", relative.display()),
            );
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("/c.yaml"), text)
    }

    #[test]
    fn every_key_is_optional() {
        assert_eq!(parse("").unwrap(), Config::default());
        assert_eq!(parse("# nothing set\n").unwrap(), Config::default());
        assert_eq!(parse("spares: 5\n").unwrap(), Config { spares: 5, ..Config::default() });
        let bounds = Config { max_ended_agents: 0, max_ended_size: 1 << 20, ..Config::default() };
        assert_eq!(parse("max_ended_agents: 0\nmax_ended_size: 1MiB\n").unwrap(), bounds);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let error = parse("spares: 2\nspare: 3\n").unwrap_err().to_string();
        assert!(error.contains("spare") && error.contains("line 2"), "{error}");
        assert!(parse("spares: 2\nspares: 3\n").is_err(), "a key twice");
        for bad in ["uid_range: {first: 0, count: 100}", "uid_range: {first: 4294967290, count: 100}", "spares: 1000"] {
            assert!(matches!(parse(bad), Err(ConfigError::Value { .. })), "{bad}");
        }
        for bad in [
            "spares: -1",
            "spares: many",
            "- a",
            "max_agents: 0",
            "max_agents_per_user: 0",
            "max_ended_size: 5",
            "stage_path: x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
