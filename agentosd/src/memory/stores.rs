//! What names remember, on disk: `STATE/memory/NAME/files`.
//!
//! `files` is the server's own. The directory above it belongs to whoever started the first agent of that name, which is
//! the record of whose the memory is: only root can reach it, and owner and name change together or not at all.

use super::MemoryError;
use crate::caller::Caller;
use protocol::error::ControlError;
use protocol::ids::AgentName;
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a directory is called while it is made or removed; no name begins with a dot.
const UNFINISHED: &str = ".unfinished-";
/// The server's directory in a store, and what it makes in there.
const FILES: &str = "files";
const PARTS: [&str; 4] = ["episodic", "semantic", "procedural", "state"];
/// Most stores that are made beforehand.
const MOST_BLANK: usize = 64;

/// The stores.
#[derive(Debug)]
pub(super) struct Stores {
    root: PathBuf,
    /// The user that the server is.
    server: u32,
    made: AtomicU64,
    /// Stores that have no name yet: making one costs the file system more than naming it.
    blanks: Mutex<Vec<PathBuf>>,
}

impl Stores {
    /// Opens the directory, in which nobody is at work yet.
    pub(super) fn open(root: PathBuf, server: u32) -> Result<Self, MemoryError> {
        let io = |attempt| move |path: &Path, source| MemoryError::Io { attempt, path: path.to_owned(), source };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&root).map_err(|error| io("create")(&root, error))?;
        for entry in root.read_dir().map_err(|error| io("list")(&root, error))? {
            let path = entry.map_err(|error| io("list")(&root, error))?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED)) {
                fs::remove_dir_all(&path).map_err(|error| io("remove")(&path, error))?;
            }
        }
        Ok(Self { root, server, made: AtomicU64::new(0), blanks: Mutex::default() })
    }

    /// The store of an agent's name, which is made when it is the first of that name. Another caller's is refused.
    pub(super) fn of_agent(&self, name: &AgentName, caller: &Caller) -> Result<OwnedFd, ControlError> {
        let failed = |error: MemoryError| error.not_started();
        let path = self.root.join(name.as_str());
        if let Some(directory) = open_directory(&path).map_err(failed)? {
            let stat = fstat(&directory).map_err(MemoryError::of("look at", &path)).map_err(failed)?;
            if stat.st_uid != caller.uid {
                return Err(caller.not_permitted(
                    &format!("the name {name}"),
                    "what an agent of that name remembers belongs to another user; choose another name, or have root remove it: agentctl memory rm",
                ));
            }
            return self.files(&path).map_err(failed);
        }
        self.make(&path, caller.uid).and_then(|()| self.files(&path)).map_err(failed)
    }

    /// Makes an empty store. It has its name when it is whole.
    fn make(&self, path: &Path, owner: u32) -> Result<(), MemoryError> {
        let ready = self.blanks().pop();
        let give = |blank: PathBuf| chown(&blank, Some(owner), None).and_then(|()| fs::rename(&blank, path));
        // One that somebody has removed is as none.
        if ready.is_some_and(|blank| give(blank).is_ok()) {
            return Ok(());
        }
        let fail = |source| MemoryError::Io { attempt: "create", path: path.to_owned(), source };
        self.blank().and_then(give).map_err(fail)
    }

    /// Makes a store beforehand. What cannot be made is missed when it is needed.
    pub(super) fn stock(&self) {
        let few = self.blanks().len() < MOST_BLANK;
        if few && let Ok(blank) = self.blank() {
            self.blanks().push(blank);
        }
    }

    fn blanks(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.blanks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blank(&self) -> io::Result<PathBuf> {
        let blank = self.unfinished();
        let files = blank.join(FILES);
        let mut builder = DirBuilder::new();
        builder.mode(0o700).create(&blank)?;
        let parts = PARTS.map(|part| files.join(part));
        for directory in [&files].into_iter().chain(&parts) {
            builder.create(directory)?;
            chown(directory, Some(self.server), Some(self.server))?;
        }
        Ok(blank)
    }

    /// Removes what was made and not used.
    pub(super) fn close(&self) -> Result<(), MemoryError> {
        let remove = |path: PathBuf| {
            fs::remove_dir_all(&path).map_err(|source| MemoryError::Io { attempt: "remove", path, source })
        };
        std::mem::take(&mut *self.blanks()).into_iter().try_for_each(remove)
    }

    /// The server's directory in a store.
    fn files(&self, store: &Path) -> Result<OwnedFd, MemoryError> {
        let path = store.join(FILES);
        let files =
            openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
                .map_err(MemoryError::of("open", &path))?;
        let owner = fstat(&files).map_err(MemoryError::of("look at", &path))?.st_uid;
        if owner == self.server { Ok(files) } else { Err(MemoryError::Foreign { path, owner, server: self.server }) }
    }

    /// Removes what a name remembers. Nobody serves it any more.
    pub(super) fn remove(&self, name: &AgentName) -> Result<(), MemoryError> {
        let (path, going) = (self.root.join(name.as_str()), self.unfinished());
        match fs::rename(&path, &going).and_then(|()| fs::remove_dir_all(&going)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(MemoryError::Io { attempt: "remove", path, source: error })
            }
            _ => Ok(()),
        }
    }

    fn unfinished(&self) -> PathBuf {
        self.root.join(format!("{UNFINISHED}{}", self.made.fetch_add(1, Ordering::Relaxed)))
    }
}

fn open_directory(path: &Path) -> Result<Option<OwnedFd>, MemoryError> {
    match openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(MemoryError::of("open", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32) -> Caller {
        Caller { uid, gid: uid, groups: Vec::new(), pid: 1 }
    }

    #[test]
    fn a_name_remembers_for_whoever_used_it_first() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root to give directories away");
            return;
        }
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("memory");
        let stores = Stores::open(root.clone(), 77).unwrap();
        let name = AgentName::parse("coder").unwrap();
        assert!(stores.of_agent(&name, &caller(5)).is_ok());
        fs::write(root.join("coder/files/x"), "kept").unwrap();
        assert!(stores.of_agent(&name, &caller(5)).is_ok());
        for other in [6, 0] {
            let refusal = stores.of_agent(&name, &caller(other)).unwrap_err().to_string();
            assert!(refusal.contains("another user") && refusal.contains("agentctl memory rm"), "{refusal}");
        }
        let again = Stores::open(root.clone(), 78).unwrap();
        let foreign = again.of_agent(&name, &caller(5)).unwrap_err().to_string();
        assert!(foreign.contains("chown -R 78:78"), "{foreign}");
        stores.remove(&name).unwrap();
        assert!(stores.of_agent(&name, &caller(6)).is_ok());
        assert!(!root.join("coder/files/x").exists());
    }
}
