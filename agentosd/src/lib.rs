//! The daemon of Agent OS: introduces the other rooms to each other.
//!
//! ```text
//!   transport ── call ──► doors ── request ──► agent (one task each) ── orders ──► stage (a process)
//!      ▲                    │                    │
//!      └────── replies ─────┘                    └── records, events, denials on disk
//! ```
//! [`transport`] meets hostile bytes and knows nothing of agents; a door turns a call into a request and an answer into
//! a reply; an agent's task alone decides (by [`lifecycle`], [`plan`]) and acts.
#![forbid(unsafe_code)]

mod action;
mod agent;
mod approvals;
mod caller;
mod cli;
mod config;
mod daemon;
pub mod denial;
mod directories;
mod doors;
mod events;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gate;
mod governing;
mod group;
mod journal;
mod lifecycle;
mod memo;
mod memory;
mod places;
mod plan;
mod policy;
pub mod preflight;
mod registry;
mod remembered;
mod retention;
mod sealed;
mod services;
mod stage;
mod start;
mod store;
mod transport;
mod uids;
pub mod violation;

pub use start::main;
