//! What a name remembers, on disk.

use crate::SERVER;
use anyhow::{Context as _, Result};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory of the server's own.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// With [`Store::new`], what vanishes with it.
    _owner: Option<TempDir>,
}

impl Store {
    /// An empty one, gone when it is dropped.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new() -> Result<Self> {
        let owner =
            tempfile::Builder::new().prefix("agentos-store-").tempdir().context("failed to make a directory")?;
        prepare(owner.path())?;
        Ok(Self { path: owner.path().to_owned(), _owner: Some(owner) })
    }

    /// `path`, made if it is missing. It stays.
    ///
    /// # Errors
    /// When it can be neither found nor made.
    pub fn at(path: &Path) -> Result<Self> {
        if !path.exists() {
            fs::create_dir(path).with_context(|| format!("failed to make {}", path.display()))?;
            prepare(path)?;
        }
        Ok(Self { path: path.to_owned(), _owner: None })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open(&self) -> Result<File> {
        File::open(&self.path).with_context(|| format!("failed to open {}", self.path.display()))
    }
}

fn prepare(path: &Path) -> Result<()> {
    chown(path, Some(SERVER), Some(SERVER)).context("failed to give the store away")?;
    fs::set_permissions(path, Permissions::from_mode(0o700)).context("failed to close the store")
}
