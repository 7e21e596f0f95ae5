//! A disk with a volatile cache, whose power can be cut at any moment.
//!
//! ```text
//!   ext4 on a loop device ──► a file that this process serves through FUSE
//!                               write: into the cache    fsync (the loop device's flush): the cache becomes stable
//!                               cut: of what is in the cache any sectors reach the image; from then on only errors
//! ```
//! There is no device mapper to do the same beneath the loop device on every kernel that the tests run on.

mod volatile;

use crate::succeeded;
use fuser::{BackgroundSession, Config};
use rustix::mount::{UnmountFlags, unmount};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use volatile::{Cache, Served};

/// Bytes in a sector: written whole or not at all.
const SECTOR: usize = 512;

/// A disk while its power is on.
#[derive(Debug)]
pub struct Disk {
    cache: Cache,
    mounted: Mounted,
    session: Option<BackgroundSession>,
}

impl Disk {
    /// Holds `image` and is switched on.
    ///
    /// # Panics
    /// When FUSE cannot be mounted.
    #[must_use]
    pub fn new(image: Vec<u8>) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let cache = Cache::new(image);
        let served = Served(cache.clone());
        let session = fuser::spawn_mount(served, place.path(), &Config::default()).expect("FUSE can be mounted");
        Self { cache, mounted: Mounted(place), session: Some(session) }
    }

    /// The disk as a file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.mounted.0.path().join(volatile::NAME)
    }

    /// Cuts the power: what the disk holds when it comes back. `survives` is asked for each sector that was written and
    /// not flushed, in the order of writing.
    #[must_use]
    pub fn cut(&self, survives: impl FnMut() -> bool) -> Vec<u8> {
        self.cache.cut(survives)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.mounted.detach();
        // It ends when the last user is gone, for example a loop device that the kernel is about to free.
        if let Some(session) = self.session.take()
            && let Err(error) = session.join()
        {
            println!("the disk's server ended with {error}");
        }
    }
}

/// A directory that something is mounted at.
#[derive(Debug)]
struct Mounted(TempDir);

impl Mounted {
    fn detach(&self) {
        // Its user may have gone with the power.
        if let Err(error) = unmount(self.0.path(), UnmountFlags::DETACH) {
            println!("failed to unmount {}: {error}", self.0.path().display());
        }
    }
}

/// An ext4 on a file, mounted through a loop device until it is dropped.
#[derive(Debug)]
pub struct Ext4(Mounted);

impl Ext4 {
    /// # Panics
    /// When it cannot be mounted.
    #[must_use]
    pub fn mount(file: &Path) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o", "loop,nosuid,nodev"]).arg(file).arg(place.path());
        succeeded(mount.output().expect("mount(8)"));
        Self(Mounted(place))
    }

    /// Its root.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.0.path()
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        // Whoever was killed a moment ago may still hold it.
        for _ in 0..200 {
            match unmount(self.path(), UnmountFlags::empty()) {
                Err(rustix::io::Errno::BUSY) => std::thread::sleep(Duration::from_millis(10)),
                Ok(()) => return,
                Err(error) => println!("failed to unmount {}: {error}", self.path().display()),
            }
        }
        self.0.detach();
    }
}

/// The bytes of an empty ext4 of that many MiB.
///
/// # Panics
/// When mke2fs(8) fails.
#[must_use]
pub fn empty_ext4(mebibytes: u64) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    file.as_file().set_len(mebibytes << 20).expect("a sparse file");
    let mut make = Command::new("mke2fs");
    make.args(["-q", "-t", "ext4", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(file.path());
    succeeded(make.output().expect("mke2fs(8)"));
    std::fs::read(file.path()).expect("our own file")
}

/// Repairs the ext4 in `file` as a host does when it starts.
///
/// # Panics
/// When e2fsck(8) finds what it cannot repair without being asked.
pub fn recover(file: &Path) {
    let output = Command::new("e2fsck").args(["-f", "-p"]).arg(file).output().expect("e2fsck(8)");
    let said = crate::stdout(&output);
    assert!(matches!(output.status.code(), Some(0 | 1)), "e2fsck: {}: {said}", output.status);
}
