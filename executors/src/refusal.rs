//! Why something is not done.

use protocol::action::RefusalReason;
use protocol::executor::Report;
use rustix::io::Errno;
use std::io;

/// What is not done, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) reason: RefusalReason,
    pub(crate) message: String,
}

/// A result, or why there is none.
pub(crate) type Outcome<T> = Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// What the kernel answered to `act`.
    pub(crate) fn errno(errno: Errno, act: &str) -> Self {
        let reason = match errno {
            Errno::NOENT => RefusalReason::NotFound,
            // Out of the root, and through a link where none is followed.
            Errno::XDEV | Errno::LOOP => RefusalReason::PathEscapes,
            Errno::NOTDIR | Errno::ISDIR => RefusalReason::WrongType,
            Errno::INVAL | Errno::NAMETOOLONG => RefusalReason::BadParameter,
            _ => RefusalReason::HostRefused,
        };
        Self::new(reason, format!("{act}: {errno}"))
    }

    /// The same for what the standard library calls.
    pub(crate) fn io(error: &io::Error, act: &str) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => Self::errno(errno, act),
            None => Self::new(RefusalReason::HostRefused, format!("{act}: {error}")),
        }
    }

    pub(crate) fn too_large(what: &str, bound: u64) -> Self {
        Self::new(RefusalReason::TooLarge, format!("{what} has more than the {bound} bytes that are allowed"))
    }
}

impl From<Refusal> for Report {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { reason: refusal.reason, message: refusal.message }
    }
}
