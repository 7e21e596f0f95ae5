//! The audit log.
#![forbid(unsafe_code)]

pub mod format;
pub mod note;
pub mod tree;
