//! The directory of a log: names in it, and changes that survive a crash.
//!
//! ```text
//!   00000000000000000000.jsonl   segments, named by their first record
//!   00000000000000163840.jsonl
//!   checkpoints                  signed notes
//!   signing.key                  0600
//!   signing.vkey                 its public half, to be kept elsewhere too
//!   *.new                        unfinished; removed when the log is opened
//! ```

use super::error::FileError;
use crate::format::{segment_first, segment_name};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What is said of a directory that somebody else has open.
pub(super) const LOCKED: &str = "another process writes it";
/// The file of checkpoints.
pub(super) const CHECKPOINTS: &str = "checkpoints";
const UNFINISHED: &str = ".new";

/// A directory, by its path.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

/// Keeps other writers away while it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _directory: File,
}

impl Directory {
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.path.join(segment_name(first))
    }

    /// Makes it, for root alone, if it is not there.
    pub(super) fn make(&self) -> Result<(), FileError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
        made.map_err(|source| FileError { action: "create", path: self.path.clone(), source })
    }

    /// `None` when another process has it.
    pub(super) fn lock(&self) -> Result<Option<Lock>, FileError> {
        let failed = |action| move |source| FileError { action, path: self.path.clone(), source };
        let directory = File::open(&self.path).map_err(failed("open"))?;
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _directory: directory })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failed("lock")(error.into())),
        }
    }

    /// The first records of all segments, in order.
    pub(super) fn segments(&self) -> Result<Vec<u64>, FileError> {
        let names = self.names()?;
        let mut found: Vec<u64> = names.iter().filter_map(|name| segment_first(name)).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Removes what a crash has left unfinished.
    pub(super) fn tidy(&self) -> Result<(), FileError> {
        self.names()?.iter().filter(|name| name.ends_with(UNFINISHED)).try_for_each(|name| self.remove(name))
    }

    fn names(&self) -> Result<Vec<String>, FileError> {
        let failed = |source| FileError { action: "list", path: self.path.clone(), source };
        let entries = fs::read_dir(&self.path).map_err(failed)?;
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        entries.map(name).collect::<io::Result<_>>().map_err(failed)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), FileError> {
        let path = self.file(name);
        fs::remove_file(&path).map_err(|source| FileError { action: "remove", path, source })
    }

    /// Writes a file whole, or not at all: durable under another name before it gets its own. The name is durable only
    /// after [`sync`](Self::sync).
    pub(super) fn place(&self, name: &str, content: &[u8], mode: u32) -> Result<File, FileError> {
        let unfinished = self.file(&format!("{name}{UNFINISHED}"));
        let failed = |action| {
            let path = unfinished.clone();
            move |source| FileError { action, path, source }
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(mode);
        let mut file = options.open(&unfinished).map_err(failed("create"))?;
        let written = file.write_all(content).map_err(failed("write"));
        let written = written.and_then(|()| file.sync_all().map_err(failed("sync")));
        let placed = written.and_then(|()| fs::rename(&unfinished, self.file(name)).map_err(failed("rename")));
        match placed {
            Ok(()) => Ok(file),
            // What is left has a name that nobody reads, and its space may be what is missing.
            Err(error) => Err(fs::remove_file(&unfinished).err().map_or(error, failed("remove"))),
        }
    }

    /// Makes the names durable.
    pub(super) fn sync(&self) -> Result<(), FileError> {
        let synced = File::open(&self.path).and_then(|directory| directory.sync_all());
        synced.map_err(|source| FileError { action: "sync", path: self.path.clone(), source })
    }
}

/// Opens a file of ours for reading and writing.
pub(super) fn open(path: &Path) -> Result<File, FileError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|source| FileError { action: "open", path: path.to_owned(), source })
}

/// The whole of a small file; `None` when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError { action: "read", path: path.to_owned(), source }),
    }
}
