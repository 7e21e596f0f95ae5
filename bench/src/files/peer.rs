//! bindfs: a file system of Debian's that passes everything through, by libfuse.

use anyhow::{Context as _, Result, bail};
use mounted::Mount;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Running, over a tmpfs; dropped, it is unmounted.
#[derive(Debug)]
pub(super) struct Bindfs {
    child: Child,
    place: TempDir,
    _beneath: Mount,
}

impl Bindfs {
    pub(super) fn over(beneath: Mount) -> Result<Self> {
        let place = tempfile::tempdir().context("failed to make a directory")?;
        let device = fs::metadata(place.path()).context("our own directory")?.dev();
        let child = Command::new("bindfs")
            .arg("-f")
            .arg(beneath.path())
            .arg(place.path())
            .spawn()
            .context("failed to start bindfs; it is a package of Debian's: scripts/fs-suites install")?;
        let own = Self { child, place, _beneath: beneath };
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::metadata(own.path()).is_ok_and(|now| now.dev() == device) {
            if Instant::now() > deadline {
                bail!("bindfs did not mount");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(own)
    }

    pub(super) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bindfs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.place.path()).status();
        if let Err(error) = unmounted.and_then(|_| self.child.wait()) {
            eprintln!("bench: failed to end bindfs: {error}");
        }
    }
}
