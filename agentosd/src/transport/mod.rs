//! The Varlink wire over a Unix socket, bounded because a peer may be hostile (DESIGN 4.7).
//!
//! One task a connection; a message of at most 1 MiB with at most 16 descriptors, all close-on-exec; connections capped
//! per uid; a peer that does not take its replies is cut off. Nothing here knows what the calls are about.

mod connection;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzed;
mod listener;
mod parameters;
mod service;
mod socket;

pub(crate) use connection::{Door, Ended, Incoming, Outgoing};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use fuzzed::fuzzed;
pub(crate) use listener::{Bounds, listen, serve};
pub(crate) use parameters::parse;

#[cfg(test)]
mod tests;
