//! The audit log.
#![forbid(unsafe_code)]

pub mod note;
pub mod tree;
