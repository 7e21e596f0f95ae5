//! What this host offers, before the daemon starts and for `agentctl doctor`.
//!
//! ```text
//!   host ── gather (reads and tries, leaves nothing behind) ──► Facts ── judge (pure) ──► Check, one a layer
//! ```
//! A layer that is tried here is tried the way the stage will use it; what cannot be tried without leaving something
//! behind is told by the kernel's version.

mod facts;
mod gather;
mod judge;
#[cfg(test)]
mod tests;

use crate::denial::Unavailable;
use policies::KernelLayer;
use protocol::doctor::{Check, Status};
use sandbox::cgroup::{CgroupError, Hierarchies};
use std::ops::Range;

/// What the daemon has opened itself, and what it was given.
#[derive(Debug)]
pub struct Given<'a> {
    /// [`Hierarchies::open`].
    pub cgroups: Result<&'a Hierarchies, &'a CgroupError>,
    /// [`crate::denial::Log::open`].
    pub denial_log: Result<(), &'a Unavailable>,
    /// FUSE passthrough is required.
    pub fuse_passthrough: bool,
    /// The host uids that agents get.
    pub uids: Range<u32>,
}

/// Looks at every layer. The daemon must not start when a check is [`Status::Missing`]. Blocks, for as long as the kernel
/// holds back whoever asks its audit while an agent floods it.
#[must_use]
pub fn run(given: &Given<'_>) -> Vec<Check> {
    judge::judge(&gather::gather(given))
}

/// The layers that this kernel lacks and that a policy can do without.
#[must_use]
pub fn lacking() -> Vec<KernelLayer> {
    judge::lacking(gather::landlock_abi(), gather::memfd_noexec()).collect()
}

/// The checks that keep the daemon from starting.
pub fn missing(checks: &[Check]) -> impl Iterator<Item = &Check> {
    checks.iter().filter(|check| check.status == Status::Missing)
}
