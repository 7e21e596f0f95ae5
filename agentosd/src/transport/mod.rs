//! The Varlink wire over a Unix socket, bounded because a peer may be hostile (DESIGN 4.7).
//!
//! One task a connection, and of one uid's one at a time; a message of at most 1 MiB with at most 16 descriptors, all
//! close-on-exec; connections capped per uid; a peer that does not take its replies is cut off. Nothing here knows what
//! the calls are about.

mod connection;
mod descriptors;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzed;
mod listener;
mod parameters;
mod service;
mod socket;
mod turn;

pub(crate) use connection::{Door, Ended, Incoming, Outgoing};
pub(crate) use descriptors::Descriptors;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use fuzzed::fuzzed;
pub(crate) use listener::{Admitted, Bounds, listen, serve};
pub(crate) use parameters::{Parameters, parse};
pub(crate) use socket::SocketError;
pub(crate) use turn::{aside, aside_if_large};

#[cfg(test)]
mod tests;
