//! Actions: from a request of an agent to what came of it.
//!
//! ```text
//!   Execute ── asked (pure) ──► Asked ── prepare ──► what it is really about ── Gate ──► Verdict
//!                                          a confined process of its own               │
//!   ExecuteReply ◄── outcome, noted ◄── perform ◄──────────────────── Permit ──────────┘
//! ```
//! A request that its text alone refuses never reaches a process. The daemon opens no file, runs no statement and starts no
//! program of an agent's itself: that is done by `agentos-executor`, in a sandbox that has this one action's rights.

mod asked;
mod counts;
mod database;
mod execute;
mod governed;
mod held;
mod job;
mod own_file;
mod perform;
mod programs;
mod registered;
mod reserved;
mod violating;

pub(crate) use asked::cut;
pub(crate) use execute::{Origin, check, execute};
pub(crate) use governed::{Governed, Parts};
pub(crate) use own_file::{OwnFile, read as read_own_file};
