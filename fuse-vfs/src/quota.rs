//! What an area holds, and how much it may.
//!
//! Sizes count as files have them, not as blocks are allocated: then a hole that is filled through a shared mapping,
//! which no server sees, was counted when the file got its size. Each file on disk counts 4 KiB besides, which bounds
//! what names and extended attributes take. A directory counts by what it takes beyond that: ext4 never makes one smaller.

use protocol::vfs::Quota;
use rustix::io::Errno;

/// Unit of the counting in bytes.
pub const BLOCK: u64 = 4096;

/// `size` in whole blocks.
#[must_use]
pub fn rounded(size: u64) -> u64 {
    size.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX)
}

/// What a directory of `size` bytes counts besides itself.
#[must_use]
pub fn of_directory(size: u64) -> u64 {
    rounded(size).saturating_sub(BLOCK)
}

/// The account of one area.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    limit: Quota,
    used: Quota,
    /// Bytes that a file counts besides its content; 0 where the file system itself bounds the bytes.
    each: u64,
    bytes_are_counted: bool,
}

impl Account {
    /// Counts bytes and files: for an area on disk.
    #[must_use]
    pub fn on_disk(limit: Quota, used: Quota) -> Self {
        Self { limit, used, each: BLOCK, bytes_are_counted: true }
    }

    /// Counts files; the bytes are bounded by the size of the tmpfs.
    #[must_use]
    pub fn in_memory(limit: Quota, used: Quota) -> Self {
        Self { limit, used, each: 0, bytes_are_counted: false }
    }

    /// The same before anything is held.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self { used: Quota { bytes: 0, inodes: 0 }, ..*self }
    }

    /// What may be held.
    #[must_use]
    pub fn limit(&self) -> Quota {
        self.limit
    }

    /// What is held.
    #[must_use]
    pub fn used(&self) -> Quota {
        self.used
    }

    /// Counts a new file of `size` bytes.
    ///
    /// # Errors
    /// EDQUOT when there are too many, ENOSPC when it does not fit.
    pub fn add(&mut self, size: u64) -> Result<(), Errno> {
        if self.used.inodes >= self.limit.inodes {
            return Err(Errno::DQUOT);
        }
        self.take(self.each.saturating_add(self.bytes(size)))?;
        self.used.inodes += 1;
        Ok(())
    }

    /// Counts a file that is there already, whether or not it fits.
    pub fn found(&mut self, size: u64) {
        self.used.bytes = self.used.bytes.saturating_add(self.each.saturating_add(self.bytes(size)));
        self.used.inodes += 1;
    }

    /// Counts a file out.
    pub fn remove(&mut self, size: u64) {
        let bytes = self.each.saturating_add(self.bytes(size));
        self.used.bytes = self.used.bytes.saturating_sub(bytes);
        self.used.inodes = self.used.inodes.saturating_sub(1);
    }

    /// Counts a file's change of size.
    ///
    /// # Errors
    /// ENOSPC when it does not fit; nothing is counted then.
    pub fn resize(&mut self, from: u64, to: u64) -> Result<(), Errno> {
        let (from, to) = (self.bytes(from), self.bytes(to));
        self.used.bytes = self.used.bytes.saturating_sub(from.saturating_sub(to));
        self.take(to.saturating_sub(from))
    }

    /// Counts what directories have grown by or shrunk, whether or not it fits: the file system has done it already.
    pub fn grew(&mut self, from: u64, to: u64) {
        self.used.bytes = self.used.bytes.saturating_add(self.bytes(to)).saturating_sub(self.bytes(from));
    }

    /// Whether more is held than may be, so that no directory may get a further name.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.bytes_are_counted && self.used.bytes > self.limit.bytes
    }

    /// Whether bytes are counted here.
    #[must_use]
    pub fn counts_bytes(&self) -> bool {
        self.bytes_are_counted
    }

    /// The largest size up to `wanted` that a file of `size` bytes can grow to.
    #[must_use]
    pub fn room(&self, size: u64, wanted: u64) -> u64 {
        if !self.bytes_are_counted {
            return wanted;
        }
        let free = self.limit.bytes.saturating_sub(self.used.bytes) / BLOCK * BLOCK;
        wanted.min(rounded(size).saturating_add(free))
    }

    fn bytes(&self, size: u64) -> u64 {
        if self.bytes_are_counted { rounded(size) } else { 0 }
    }

    fn take(&mut self, bytes: u64) -> Result<(), Errno> {
        let used = self.used.bytes.checked_add(bytes).ok_or(Errno::NOSPC)?;
        if bytes > 0 && used > self.limit.bytes {
            return Err(Errno::NOSPC);
        }
        self.used.bytes = used;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: Quota = Quota { bytes: 64 << 10, inodes: 4 };

    #[test]
    fn bytes_and_files_have_their_own_errors() {
        let mut account = Account::on_disk(LIMIT, Quota { bytes: 0, inodes: 0 });
        assert_eq!(account.add(64 << 10), Err(Errno::NOSPC), "the file itself counts");
        assert_eq!(account.add(60 << 10), Ok(()));
        assert_eq!(account.resize(60 << 10, (60 << 10) + 1), Err(Errno::NOSPC));
        assert_eq!(account.resize(60 << 10, 1), Ok(()));
        for _ in 0..3 {
            assert_eq!(account.add(0), Ok(()));
        }
        assert_eq!(account.add(0), Err(Errno::DQUOT));
        assert_eq!(account.room(1, 1 << 30), 4096 + (64 << 10) - 5 * 4096);
    }

    proptest! {
        #[test]
        fn what_comes_and_goes_leaves_nothing(sizes in proptest::collection::vec((0u64..1 << 17, 0u64..1 << 17), 0..20)) {
            let mut account = Account::on_disk(LIMIT, Quota { bytes: 0, inodes: 0 });
            let mut held = Vec::new();
            for (first, second) in sizes {
                if account.add(first).is_ok() {
                    held.push(if account.resize(first, second).is_ok() { second } else { first });
                }
                prop_assert!(account.used().bytes <= LIMIT.bytes && account.used().inodes <= LIMIT.inodes);
            }
            for size in held {
                account.remove(size);
            }
            prop_assert_eq!(account.used(), Quota { bytes: 0, inodes: 0 });
        }
    }
}
