//! Archives of what a name remembers: POSIX pax interchange format (pax(1), "ustar Interchange Format").
//!
//! ```text
//!   Entry ──► Writer ──► [pax header, when a value does not fit] [header] [content, filled up to 512 bytes] …
//!   Entry ◄── Reader ◄──
//! ```
//! The same entries give the same bytes: owners are left out, values that fit a header stand there and nowhere else, and
//! records are sorted. What [`Reader`] gives is bounded and has a meaning of ours, but is not checked against any tree:
//! a path may still be absolute or lead upwards. No I/O but through `Read` and `Write`.

mod fields;
mod pax;
mod read;
mod write;

#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod tried;

pub(crate) use read::{ReadError, Reader};
pub(crate) use write::{WriteError, Writer};

use std::collections::BTreeMap;

/// The unit of an archive.
const BLOCK: usize = 512;
/// Longest pax header: path, link and attributes of one entry.
const MAX_PAX: usize = 16 << 20;
/// What an attribute's name must begin with: others are the host's (security.selinux), not the agent's.
pub(crate) const ATTRIBUTES: &[u8] = b"user.";

/// One name in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where, without a slash at the end.
    pub(crate) path: Vec<u8>,
    /// What.
    pub(crate) kind: Kind,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Last change of the content.
    pub(crate) mtime: Time,
    /// Extended attributes, all in the namespace `user`.
    pub(crate) attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file; its content follows.
    File {
        /// Bytes of the content.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Its text.
        target: Vec<u8>,
    },
    /// A further name of a file that came before.
    HardLink {
        /// The file's path in the archive.
        to: Vec<u8>,
    },
    /// A FIFO.
    Fifo,
}

/// A moment, as struct timespec has it: the nanoseconds count forwards also before 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time {
    /// Since 1970.
    pub(crate) seconds: i64,
    /// Under 1 000 000 000.
    pub(crate) nanoseconds: u32,
}
