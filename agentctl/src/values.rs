//! Values of options, parsed once.

use crate::failure::Failure;
use policies::{Loader as _, Shipped};
use protocol::control::{PolicyChoice, Workspace};
use std::convert::Infallible;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Longest policy file, as the policy language has it.
const MAX_POLICY: u64 = 1 << 20;

/// Parses `500ms`, `90s`, `1h30m`, `1.5h`; a number without a unit is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: expected for example 500ms, 90s, 1h30m or 2d");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let seconds = match &rest[digits..unit_end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "" if total.is_zero() => 1.0,
            _ => return Err(wrong()),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = &rest[unit_end..];
    }
    if total.is_zero() { Err(wrong()) } else { Ok(total) }
}

/// Whole milliseconds, at least one, as the interface counts time limits.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// The value of `--policy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PolicyArgument {
    Profile(String),
    File(PathBuf),
}

impl FromStr for PolicyArgument {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let file = text.contains('/') || text.ends_with(".yaml") || text.ends_with(".yml");
        Ok(if file { Self::File(text.into()) } else { Self::Profile(text.to_owned()) })
    }
}

impl PolicyArgument {
    /// What goes to the daemon; a file is read here, since the daemon must not open paths that a caller names.
    pub(crate) fn choose(self) -> Result<PolicyChoice, Failure> {
        match self {
            Self::Profile(name) => Ok(PolicyChoice::Profile(name)),
            Self::File(path) => {
                Ok(PolicyChoice::Text { origin: path.display().to_string(), text: read_policy(&path)? })
            }
        }
    }
}

/// Reads a policy file, bounded.
pub(crate) fn read_policy(path: &Path) -> Result<String, Failure> {
    let wrong = |why: String| Failure::Policy(format!("cannot read the policy {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| match profile_of(path) {
        Some(name) if error.kind() == std::io::ErrorKind::NotFound => {
            wrong(format!("{error}; a profile is named, not read from a file: agentctl policy show {name}"))
        }
        _ => wrong(error.to_string()),
    })?;
    let mut text = String::new();
    file.take(MAX_POLICY + 1).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= MAX_POLICY => Ok(text),
        _ => Err(wrong("it is longer than 1 MiB".to_owned())),
    }
}

/// The shipped profile that somebody meant who named no file.
fn profile_of(path: &Path) -> Option<&str> {
    let name = path.to_str()?;
    Shipped.names().iter().any(|known| known == name).then_some(name)
}

/// The value of `--workspace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkspaceArgument {
    pub(crate) directory: PathBuf,
    pub(crate) read_only: bool,
}

impl FromStr for WorkspaceArgument {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (directory, read_only) = match text.strip_suffix(":ro") {
            Some(directory) => (directory, true),
            None => (text, false),
        };
        if directory.is_empty() {
            return Err("expected a directory, for example . or /work/project:ro".to_owned());
        }
        Ok(Self { directory: directory.into(), read_only })
    }
}

impl WorkspaceArgument {
    /// The directory's own path; the daemon takes none with symbolic links, which an agent could redirect.
    pub(crate) fn resolve(&self) -> Result<Workspace, Failure> {
        let wrong = |why: &str| {
            Failure::Usage(format!("the workspace {}: {why}; give a directory that exists", self.directory.display()))
        };
        let path = self.directory.canonicalize().map_err(|error| wrong(&error.to_string()))?;
        if !path.is_dir() {
            return Err(wrong("it is not a directory"));
        }
        let path = path.into_os_string().into_string().map_err(|_| wrong("its path is not UTF-8"))?;
        Ok(Workspace { path, read_only: self.read_only })
    }
}

/// The value of `--env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnvArgument {
    name: String,
    value: Option<String>,
}

impl FromStr for EnvArgument {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() {
            return Err("expected NAME=VALUE, or NAME for the caller's own value".to_owned());
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

impl EnvArgument {
    /// The pair that is sent; a name alone takes the value that `lookup` finds.
    pub(crate) fn resolve(self, lookup: impl Fn(&str) -> Option<String>) -> Result<(String, String), Failure> {
        let Self { name, value } = self;
        match value.or_else(|| lookup(&name)) {
            Some(value) => Ok((name, value)),
            None => Err(Failure::Usage(format!(
                "--env {name}: the variable is not set here (or not in UTF-8); set it, or give a value: --env {name}=VALUE"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_units() {
        for (text, ms) in
            [("500ms", 500), ("90s", 90_000), ("1h30m", 5_400_000), ("2", 2_000), ("0.5", 500), ("1d", 86_400_000)]
        {
            assert_eq!(parse_duration(text).map(|d| d.as_millis()), Ok(ms), "{text}");
        }
        for bad in ["", "0", "0s", "-1s", "1x", "s", "1h30", "1..5s", "99999999999999999999d", "1 s", "inf", "nan"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_policy_is_a_file_when_it_looks_like_one() {
        let of = |text: &str| text.parse::<PolicyArgument>().expect("infallible");
        assert_eq!(of("coding-agent"), PolicyArgument::Profile("coding-agent".into()));
        assert_eq!(of("./mine"), PolicyArgument::File("./mine".into()));
        assert_eq!(of("mine.yaml"), PolicyArgument::File("mine.yaml".into()));
        assert_eq!(of("mine.yml"), PolicyArgument::File("mine.yml".into()));
    }

    #[test]
    fn who_names_a_profile_where_a_file_is_read_is_told_how_it_is_shown() {
        let said = |path: &str| read_policy(Path::new(path)).expect_err("no such file").sentence();
        assert!(said("coding-agent").ends_with("agentctl policy show coding-agent"), "{}", said("coding-agent"));
        assert!(!said("coding-agent.yaml").contains("policy show"), "{}", said("coding-agent.yaml"));
    }

    #[test]
    fn a_workspace_is_canonical_and_a_directory() {
        let base = tempfile::tempdir().expect("a directory");
        let real = base.path().canonicalize().expect("its path").join("real");
        std::fs::create_dir(&real).expect("created");
        std::os::unix::fs::symlink(&real, base.path().join("link")).expect("linked");
        let given = format!("{}:ro", base.path().join("link").display());
        let workspace = given.parse::<WorkspaceArgument>().expect("parses").resolve().expect("resolves");
        assert_eq!(workspace, Workspace { path: real.display().to_string(), read_only: true });

        std::fs::write(base.path().join("file"), "").expect("written");
        for bad in ["file", "absent"] {
            let argument = WorkspaceArgument { directory: base.path().join(bad), read_only: false };
            assert!(matches!(argument.resolve(), Err(Failure::Usage(_))), "{bad}");
        }
        assert!(":ro".parse::<WorkspaceArgument>().is_err());
    }

    #[test]
    fn a_variable_without_a_value_takes_the_callers() {
        let lookup = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        let of = |text: &str| text.parse::<EnvArgument>().expect("parses").resolve(lookup);
        assert_eq!(of("HOME").expect("set"), ("HOME".into(), "/root".into()));
        assert_eq!(of("A=b=c").expect("given"), ("A".into(), "b=c".into()));
        assert_eq!(of("A=").expect("given"), ("A".into(), String::new()));
        assert!(matches!(of("ABSENT"), Err(Failure::Usage(_))));
        assert!("=x".parse::<EnvArgument>().is_err());
    }
}
