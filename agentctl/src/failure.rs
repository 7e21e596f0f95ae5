//! Why a command failed: the sentence, and the exit code.

use crate::show;
use protocol::error::ControlError;
use protocol::exit_code;
use protocol::ids::AgentName;
use protocol::wire::FrameError;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// A command's failure. Its text names the object and the remedy; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// ENOENT or ENOTDIR on connecting.
    #[error("agentosd is not running (no socket at {}); {}", .0.display(), to_start(Supervisor::of_host()))]
    NoSocket(PathBuf),
    /// ECONNREFUSED on connecting.
    #[error(
        "agentosd is not running (nobody answers at {}); agents that it has left go on, confined as before; {}",
        .0.display(), to_start(Supervisor::of_host())
    )]
    NobodyAnswers(PathBuf),
    /// EACCES or EPERM on connecting.
    #[error(
        "agentosd at {} may be reached by root and the group agentos only; join the group: usermod -aG agentos USER, then log in again",
        .0.display()
    )]
    NotInGroup(PathBuf),
    /// Any other error on connecting.
    #[error("cannot connect to agentosd at {}", path.display())]
    Connect { path: PathBuf, source: io::Error },
    /// The connection ended, or broke, where a reply was due.
    #[error("the connection to agentosd was lost while {waiting_for}")]
    Lost { waiting_for: String, source: Option<io::Error> },
    /// No reply within `seconds`.
    #[error(
        "agentosd does not answer {method} (waited {seconds} s); look at its log, then restart it{}",
        if Supervisor::of_host() == Supervisor::Systemd { ": systemctl restart agentosd" } else { "" }
    )]
    Silent { method: &'static str, seconds: u64 },
    /// agentosd refused, and says why.
    #[error(transparent)]
    Refused(#[from] ControlError),
    /// An error outside our interface, such as `org.varlink.service.MethodNotFound`.
    #[error(
        "agentosd answered {error} {parameters}; agentctl and agentosd may be of different versions (agentctl version)"
    )]
    Varlink { error: String, parameters: String },
    /// agentosd sent what is no reply of the method.
    #[error(
        "agentosd sent a reply to {method} that cannot be understood; agentctl and agentosd may be of different versions (agentctl version)"
    )]
    Reply { method: &'static str, source: FrameError },
    /// A reply came without its descriptor.
    #[error(
        "agentosd answered {method} without the descriptor that belongs to it; agentctl and agentosd may be of different versions (agentctl version)"
    )]
    Descriptor { method: &'static str },
    /// The request does not fit a message.
    #[error("the request is longer than 1 MiB: shorten the command, the policy or the environment (env -i agentctl …)")]
    TooLong,
    /// The request cannot be written as a message.
    #[error("the request cannot be written as a message")]
    Encode(#[source] FrameError),
    /// The command line is understood, but its values do not fit this place.
    #[error("{0}")]
    Usage(String),
    /// A policy could not be read or resolved.
    #[error("{0}")]
    Policy(String),
    /// A system call of ours.
    #[error("cannot {attempt}")]
    Os { attempt: &'static str, source: io::Error },
    /// A file, here or in a memory; the path is escaped.
    #[error("cannot {attempt} {path}")]
    File { attempt: &'static str, path: String, source: io::Error },
    /// What a name remembers could not be read.
    #[error("{name} cannot be exported")]
    Export { name: AgentName, source: Box<dyn Error + Send + Sync> },
    /// An archive that is not taken.
    #[error("nothing was imported, and {name} {as_before}")]
    Import { name: AgentName, as_before: &'static str, source: Box<dyn Error + Send + Sync> },
    /// The audit log could not be read, or does not prove what was asked; causes are in the text.
    #[error("cannot {0}")]
    Audit(String),
    /// Standard output or standard error could not be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// `wait --timeout` ran out.
    #[error("{0}")]
    TimedOut(String),
    /// A signal ended us before or after the agent's life; nothing to say.
    #[error("ended by signal {0}")]
    Signal(u8),
}

impl Failure {
    /// Sorts an error of connecting to `path`.
    pub(crate) fn connecting(path: PathBuf, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NoSocket(path),
            io::ErrorKind::ConnectionRefused => Self::NobodyAnswers(path),
            io::ErrorKind::PermissionDenied => Self::NotInGroup(path),
            _ => Self::Connect { path, source: error },
        }
    }

    /// Names what a system call was for.
    pub(crate) fn os<E: Into<io::Error>>(attempt: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Os { attempt, source: error.into() }
    }

    /// An error of the audit log's, with its causes.
    pub(crate) fn audit(error: &dyn Error) -> Self {
        Self::Audit(with_causes(error))
    }

    /// The exit code of `agentctl`.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoSocket(_) | Self::NobodyAnswers(_) | Self::NotInGroup(_) => exit_code::NO_DAEMON,
            Self::Connect { .. } | Self::Lost { .. } | Self::Silent { .. } => exit_code::NO_DAEMON,
            Self::Refused(error) => error.exit_code(),
            Self::Usage(_) => exit_code::USAGE,
            Self::Policy(_) => exit_code::BAD_POLICY,
            Self::TimedOut(_) => exit_code::TIMED_OUT,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => exit_code::SIGNAL_BASE + SIGPIPE,
            Self::Signal(number) => exit_code::SIGNAL_BASE + number,
            _ => exit_code::FAILED,
        }
    }

    /// Prints the failure to standard error, unless a Unix filter would be silent about it.
    pub(crate) fn report(&self) {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Self::Signal(_) => {}
            _ => show::notice(&self.sentence()),
        }
    }

    /// The failure with its causes, on one line where it is ours.
    pub(crate) fn sentence(&self) -> String {
        with_causes(self)
    }
}

/// An error's text and those of its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        cause = error.source();
    }
    sentence
}

/// What starts services here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supervisor {
    Systemd,
    /// Another one, or none as in most containers.
    Other,
}

impl Supervisor {
    /// As sd_booted(3) tells it.
    fn of_host() -> Self {
        if Path::new("/run/systemd/system").is_dir() { Self::Systemd } else { Self::Other }
    }
}

/// How agentosd is started.
fn to_start(supervisor: Supervisor) -> &'static str {
    match supervisor {
        Supervisor::Systemd => "start it: systemctl start agentosd",
        Supervisor::Other => {
            "systemd does not run here, so start it as root by this host's service manager, or from a shell: agentosd &"
        }
    }
}

/// The number of SIGPIPE, by which a filter dies whose reader has gone.
const SIGPIPE: u8 = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_daemon_is_told_apart_and_always_69() {
        let of = |kind| Failure::connecting("/run/x.sock".into(), io::Error::from(kind));
        let start = to_start(Supervisor::of_host());
        let cases = [
            (io::ErrorKind::NotFound, format!("agentosd is not running (no socket at /run/x.sock); {start}")),
            (
                io::ErrorKind::ConnectionRefused,
                format!(
                    "agentosd is not running (nobody answers at /run/x.sock); agents that it has left go on, confined as before; {start}"
                ),
            ),
            (
                io::ErrorKind::PermissionDenied,
                "agentosd at /run/x.sock may be reached by root and the group agentos only; join the group: usermod -aG agentos USER, then log in again".to_owned(),
            ),
        ];
        for (kind, sentence) in cases {
            assert_eq!(of(kind).sentence(), sentence);
            assert_eq!(of(kind).exit_code(), 69);
        }
    }

    #[test]
    fn systemctl_is_named_only_where_systemd_runs() {
        assert!(to_start(Supervisor::Systemd).contains("systemctl start agentosd"));
        let other = to_start(Supervisor::Other);
        assert!(!other.contains("systemctl") && other.contains("agentosd &"), "{other}");
    }

    #[test]
    fn a_reader_that_went_away_ends_us_as_a_filter() {
        assert_eq!(Failure::Output(io::Error::from(io::ErrorKind::BrokenPipe)).exit_code(), 141);
        assert_eq!(Failure::Output(io::Error::from(io::ErrorKind::StorageFull)).exit_code(), 1);
    }

    #[test]
    fn the_documented_exit_codes_are_those_of_the_protocol() {
        let source = include_str!("../../protocol/src/exit_code.rs");
        let defined: Vec<(&str, &str)> = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub const ")?.strip_suffix(';')?.split_once(": u8 = "))
            .collect();
        let table = include_str!("../../docs/exit-codes.md");
        let mut documented: Vec<(&str, &str)> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
            .filter_map(|(code, rest)| Some((rest.split_once(" | ")?.0, code.trim_end_matches("+N"))))
            .filter(|(_, code)| code.starts_with(|c: char| c.is_ascii_digit()))
            .collect();
        assert!(defined.len() > 10, "the constants were found");
        documented.sort_unstable();
        let mut defined = defined;
        defined.sort_unstable();
        assert_eq!(documented, defined);
    }
}
