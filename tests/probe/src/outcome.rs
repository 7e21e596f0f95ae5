//! What a primitive answers, and how that becomes one line of the report.

use std::io;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// How an attempt ended, as the report names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The effect happened.
    Reached,
    /// An errno of the primitive's list, or a look around that found nothing to take.
    Denied,
    /// The kernel ended the process (SIGSYS or SIGKILL).
    Killed,
    /// The target is not there, or was not named.
    Absent,
    /// Neither: the attempt says nothing about the sandbox, `detail` says why.
    Error,
}

/// One line of the report, without the primitive's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) outcome: Verdict,
    /// The errno's name, when an errno decided.
    pub(crate) errno: Option<String>,
    /// What was reached, or what stood in the way.
    pub(crate) detail: String,
}

/// Why an attempt did not reach its effect.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The kernel answered with this errno at the named step.
    Errno(i32, String),
    /// Nothing failed, but the effect is not there.
    Denied(String),
    /// There is nothing to attack.
    Absent(String),
    /// The attempt could not be made.
    Error(String),
}

/// The answer of a primitive: what it reached, or why not.
pub(crate) type Attempt = Result<String, Refusal>;

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Self::Errno(number, String::new()),
            None => Self::Error(error.to_string()),
        }
    }
}

/// The effect happened.
pub(crate) fn reached(what: impl Into<String>) -> Attempt {
    Ok(what.into())
}

/// Names the step at which a chain of calls failed.
pub(crate) trait Step<T> {
    /// The same result, with `step` in the report when it is a refusal.
    fn step(self, step: &str) -> Result<T, Refusal>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, step: &str) -> Result<T, Refusal> {
        self.map_err(|error| match Refusal::from(error) {
            Refusal::Errno(number, _) => Refusal::Errno(number, step.to_owned()),
            Refusal::Error(text) => Refusal::Error(format!("{step}: {text}")),
            other => other,
        })
    }
}

/// For calls that would do harm if they succeeded: they get arguments that the kernel rejects with one of `beyond`, but
/// only after it has let the caller through. That errno, or success, counts as reached.
pub(crate) fn past_the_check<T>(result: io::Result<T>, beyond: &[i32]) -> Attempt {
    match result {
        Ok(_) => reached("the call succeeded"),
        Err(error) => match error.raw_os_error() {
            Some(number) if beyond.contains(&number) => {
                reached(format!("the permission check passed, then {}", errno_name(number)))
            }
            _ => Err(error.into()),
        },
    }
}

/// `EPERM` for 1 and so on.
pub(crate) fn errno_name(number: i32) -> String {
    format!("{:?}", Errno::from_raw(number))
}

impl Outcome {
    /// An outcome that no errno decided.
    pub(crate) fn plain(outcome: Verdict, detail: impl Into<String>) -> Self {
        Self { outcome, errno: None, detail: detail.into() }
    }

    /// Judges an attempt by the errnos that count as a denial for its primitive.
    pub(crate) fn judge(attempt: Attempt, denials: &[i32]) -> Self {
        match attempt {
            Ok(detail) => Self::plain(Verdict::Reached, detail),
            Err(Refusal::Errno(number, detail)) => {
                let outcome = if denials.contains(&number) { Verdict::Denied } else { Verdict::Error };
                Self { outcome, errno: Some(errno_name(number)), detail }
            }
            Err(Refusal::Denied(detail)) => Self::plain(Verdict::Denied, detail),
            Err(Refusal::Absent(detail)) => Self::plain(Verdict::Absent, detail),
            Err(Refusal::Error(detail)) => Self::plain(Verdict::Error, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Outcome, Refusal, Step, Verdict, past_the_check, reached};

    fn errno(number: i32) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(number))
    }

    #[test]
    fn only_the_listed_errnos_are_denials() {
        let denials = [libc::EPERM];
        let judged = |number| Outcome::judge(errno(number).step("step").and_then(|()| reached("")), &denials);
        assert_eq!(judged(libc::EPERM).outcome, Verdict::Denied);
        assert_eq!(judged(libc::EPERM).errno.as_deref(), Some("EPERM"));
        assert_eq!(judged(libc::EINVAL).outcome, Verdict::Error);
        assert_eq!(judged(libc::EINVAL).detail, "step");
    }

    #[test]
    fn an_errno_beyond_the_check_is_reached_and_any_other_is_not() {
        assert!(past_the_check(errno(libc::EINVAL), &[libc::EINVAL]).is_ok());
        assert!(past_the_check(Ok(()), &[libc::EINVAL]).is_ok());
        let refused = past_the_check(errno(libc::EPERM), &[libc::EINVAL]);
        assert!(matches!(refused, Err(Refusal::Errno(libc::EPERM, _))));
    }
}
