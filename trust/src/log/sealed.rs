//! The proof, as a value, that a record is on disk.

use crate::format::TimeNs;
use crate::tree::Hash;

/// A record that is on disk. Only the log makes this value, after fdatasync(2); it cannot be copied, so that what may be
/// done once for a sealed decision takes it.
///
/// ```compile_fail,E0451
/// let forged = trust::log::Sealed { seq: 1, time: trust::format::TimeNs(0), leaf: trust::tree::Hash::empty() };
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what was sealed is what may take effect"]
pub struct Sealed {
    seq: u64,
    time: TimeNs,
    leaf: Hash,
}

impl Sealed {
    pub(super) fn new(seq: u64, time: TimeNs, leaf: Hash) -> Self {
        Self { seq, time, leaf }
    }

    /// The record's number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The record's time.
    #[must_use]
    pub fn time(&self) -> TimeNs {
        self.time
    }

    /// The hash of its line in the tree.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        self.leaf
    }
}
