//! An agent's directory before there is an agent: making one costs the file system more than naming it.

use super::{StoreError, fail};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What such a directory is called.
pub(super) const BLANK: &str = "blank";

/// A directory with an empty record and an empty output log. Dropped, it is removed with the next start.
#[derive(Debug)]
pub(super) struct Blank {
    path: PathBuf,
    record: File,
    output: File,
}

impl Blank {
    /// Makes one; `number` is no other's.
    pub(super) fn make(agents: &Path, number: u64) -> Result<Self, StoreError> {
        let path = agents.join(number.to_string()).with_extension(BLANK);
        DirBuilder::new().mode(0o700).create(&path).map_err(fail("create", &path))?;
        let create = |name: &str| {
            let path = path.join(name);
            let mut options = OpenOptions::new();
            options.append(true).create_new(true).mode(0o600).open(&path).map_err(fail("create", &path))
        };
        Ok(Self { record: create(super::RECORD)?, output: create(super::OUTPUT)?, path })
    }

    /// Makes it the directory of an agent, whose record is whole when the directory has its name. Gives the output log.
    pub(super) fn become_directory(mut self, directory: &Path, record: &[u8]) -> Result<File, StoreError> {
        let written = self.record.write_all(record).map_err(fail("write the record in", &self.path));
        match written.and_then(|()| fs::rename(&self.path, directory).map_err(fail("create", directory))) {
            Ok(()) => Ok(self.output),
            // Why it could not become one matters more than that it stays; the next start removes it then.
            Err(error) => self.remove().and(Err(error)),
        }
    }

    /// Removes it, if somebody else has not.
    pub(super) fn remove(self) -> Result<(), StoreError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fail("remove", &self.path)(error)),
            _ => Ok(()),
        }
    }
}
