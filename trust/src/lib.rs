//! The audit log.
#![forbid(unsafe_code)]

pub mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod log;
pub mod note;
pub mod proofs;
pub mod tree;
