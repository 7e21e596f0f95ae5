//! How many descriptors agents may have this process hold: they are one resource of all mounts, and some are kept for the
//! daemon's orders.

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Kept for orders, directories that are looked through, and files that are opened in passing.
const RESERVE: u64 = 4096;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: OnceLock<usize> = OnceLock::new();

/// A descriptor that is accounted for until it is dropped.
#[derive(Debug)]
pub(crate) struct Descriptor(());

impl Descriptor {
    /// ENFILE when all mounts together hold too many.
    pub(crate) fn take() -> Result<Self, Errno> {
        if HELD.fetch_add(1, Ordering::Relaxed) < most() {
            return Ok(Self(()));
        }
        HELD.fetch_sub(1, Ordering::Relaxed);
        Err(Errno::NFILE)
    }
}

/// Whether three quarters are held. The rest is for mounts that hold few.
pub(crate) fn are_scarce() -> bool {
    HELD.load(Ordering::Relaxed) >= most() / 4 * 3
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the limit of the process leaves; at least half of it, where it is small. Asked first before the server's filter takes
/// the system call away.
pub(crate) fn most() -> usize {
    *MOST.get_or_init(|| {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(limit.saturating_sub(RESERVE).max(limit / 2)).unwrap_or(usize::MAX)
    })
}
