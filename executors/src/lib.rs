//! Carries out one action of an agent, in a process of its own; `agentos-executor` is its program.
//!
//! ```text
//!   orders ──► task ──► files │ exec │ sqlite │ postgres
//!                 prepare: open and look      perform: do it, with what is open
//! ```
//! It holds no policy: the daemon decides between the two steps. What holds here whoever decides: a path does not leave its
//! root, a statement is one statement, what was looked at is what is used. It is started without privileges, network or
//! threads, and does not start any. See docs/decisions/0010-executors.md.
#![forbid(unsafe_code)]

mod descriptors;
mod exec;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod orders;
mod postgres;
mod refusal;
mod run;
mod sqlite;
mod table;
mod task;

pub use run::run;
