//! The audit log.
#![forbid(unsafe_code)]

pub mod format;
pub mod log;
pub mod note;
pub mod proofs;
pub mod tree;
