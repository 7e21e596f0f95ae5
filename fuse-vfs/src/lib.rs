//! The files of an agent: `/mem`, `/state`, `/policy`, `/tools`, `/ipc`, as a file system.
//!
//! [`tree`] is the file system and knows no FUSE; [`adapter`] is the only file that does. The program `agentos-vfs`
//! ([`server`]) serves every agent's mount from one process and outlives the daemon's restarts.
#![forbid(unsafe_code)]

pub mod adapter;
pub mod area;
pub mod attributes;
mod descriptors;
mod directories;
mod nodes;
mod published;
pub mod quota;
pub mod server;
pub mod tree;

pub use nodes::NodeId;
