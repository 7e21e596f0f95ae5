//! The error of a step: what was attempted, on what, why it failed and what to do about it.

use crate::message::Failure;
use std::io;
use std::path::Path;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// Here.
    #[error("cannot {step} {object}")]
    Here { step: &'static str, object: String, remedy: &'static str, source: io::Error },
    /// In PID 1, which has told why.
    #[error("PID 1 failed: {0}")]
    Inside(Failure),
}

/// The result of a step.
pub(super) type Step<T = ()> = Result<T, StepError>;

/// Names what was attempted.
pub(super) trait Attempt<T> {
    /// `step` completes "cannot …".
    fn attempt(self, step: &'static str) -> Step<T>;
    /// The same, on a path.
    fn attempt_on(self, step: &'static str, object: &Path) -> Step<T>;
}

impl<T, E: Into<io::Error>> Attempt<T> for Result<T, E> {
    fn attempt(self, step: &'static str) -> Step<T> {
        self.attempt_on(step, Path::new(""))
    }

    fn attempt_on(self, step: &'static str, object: &Path) -> Step<T> {
        self.map_err(|error| StepError::Here {
            step,
            object: object.display().to_string(),
            remedy: "",
            source: error.into(),
        })
    }
}

impl StepError {
    /// Adds what the operator can do.
    pub(super) fn remedy(mut self, advice: &'static str) -> Self {
        if let Self::Here { remedy, .. } = &mut self {
            *remedy = advice;
        }
        self
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        let (step, object, remedy, source) = match error {
            StepError::Inside(failure) => return failure,
            StepError::Here { step, object, remedy, source } => (step, object, remedy, source),
        };
        // A cause without an error number is a sentence of ours; it must not be lost.
        let (errno, object) = match source.raw_os_error() {
            Some(errno) => (errno, object),
            None => (libc::EIO, format!("{object} ({source})")),
        };
        Self::Setup { step: step.to_owned(), object, errno, remedy: remedy.to_owned() }
    }
}
