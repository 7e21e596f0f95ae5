//! What names remember, on disk: `STATE/memory/NAME/files`; and what agents share: `STATE/memory-shared/NAME/files`.
//!
//! `files` is the server's own. The directory above it belongs to whoever started the first agent that used it, which is
//! the record of whose the memory is: only root can reach it, and owner and name change together or not at all.

use super::{MemoryError, removal};
use crate::caller::Caller;
use crate::journal;
use policies::StoreName;
use protocol::error::ControlError;
use protocol::ids::{AgentName, TimeUs};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Stat, fstat, openat, renameat, renameat_with, statat};
use rustix::io::Errno;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a directory is called while it is made or removed; no name begins with a dot.
const UNFINISHED: &str = ".unfinished-";
/// The server's directory in a store.
const FILES: &str = "files";
/// What the server makes in that of an agent, and in that of several.
pub(super) const OWN: &[&str] = &["episodic", "semantic", "procedural", "state"];
pub(super) const SHARED: &[&str] = &["semantic"];
/// Most stores that are made beforehand.
const MOST_BLANK: usize = 64;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The stores.
#[derive(Debug)]
pub(super) struct Stores {
    root: PathBuf,
    /// The user that the server is.
    server: u32,
    parts: &'static [&'static str],
    made: AtomicU64,
    /// Stores that have no name yet: making one costs the file system more than naming it.
    blanks: Mutex<Vec<PathBuf>>,
}

impl Stores {
    /// Opens the directory, in which nobody is at work yet.
    pub(super) fn open(root: PathBuf, server: u32, parts: &'static [&'static str]) -> Result<Self, MemoryError> {
        let io = |attempt| move |path: &Path, source| MemoryError::Io { attempt, path: path.to_owned(), source };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&root).map_err(|error| io("create")(&root, error))?;
        let mut left = Vec::new();
        let mut made = 0;
        for entry in root.read_dir().map_err(|error| io("list")(&root, error))? {
            let path = entry.map_err(|error| io("list")(&root, error))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if let Some(number) = name.strip_prefix(UNFINISHED) {
                made = made.max(number.parse().map_or(0, |number: u64| number.saturating_add(1)));
                left.push(path);
            }
        }
        // There may be millions of files in them, which nobody waits for.
        if !left.is_empty() {
            let remove = move || left.iter().for_each(|path| discard(path));
            let thread = std::thread::Builder::new().name("leftovers".to_owned()).spawn(remove);
            thread.map_err(|error| io("remove what was left in")(&root, error))?;
        }
        Ok(Self { root, server, parts, made: AtomicU64::new(made), blanks: Mutex::default() })
    }

    /// The store of an agent's name, which is made when it is the first of that name. Another caller's is refused.
    pub(super) fn of_agent(&self, name: &AgentName, caller: &Caller) -> Result<Found, ControlError> {
        let refused = || {
            caller.not_permitted(
                &format!("the name {name}"),
                &format!("what an agent of that name remembers belongs to another user; choose another name, or have root remove it: agentctl memory rm {name}"),
            )
        };
        self.of(name.as_str(), caller, refused)
    }

    /// The store that agents share under this name, made for the first of them. Another caller's is refused.
    pub(super) fn of_agents(&self, name: &StoreName, caller: &Caller) -> Result<OwnedFd, ControlError> {
        let refused = || {
            caller.not_permitted(
                &format!("the shared store {name}"),
                &format!(
                    "it belongs to another user; set memory.semantic_shared in the policy to another name, or have root remove {} when no agent uses it",
                    self.root.join(name.as_str()).display()
                ),
            )
        };
        self.of(name.as_str(), caller, refused).map(|found| found.files)
    }

    fn of(&self, name: &str, caller: &Caller, refused: impl FnOnce() -> ControlError) -> Result<Found, ControlError> {
        let failed = |error: MemoryError| error.not_started();
        if let Some(kept) = self.find_named(name).map_err(failed)? {
            let found = kept.files().map(|files| Found { files, is_new: false });
            return if kept.owner == caller.uid { found.map_err(failed) } else { Err(refused()) };
        }
        let made = self.begin(caller.uid).and_then(|(store, files)| self.name(name, store).map(|()| files));
        made.map(|files| Found { files, is_new: true }).map_err(failed)
    }

    /// What a name remembers, if anything.
    pub(super) fn find(&self, name: &AgentName) -> Result<Option<Kept>, MemoryError> {
        self.find_named(name.as_str())
    }

    fn find_named(&self, name: &str) -> Result<Option<Kept>, MemoryError> {
        let path = self.root.join(name);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match openat(CWD, &path, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(MemoryError::of("open", &path)(error)),
        };
        let look = || Ok((fstat(&directory)?, statat(&directory, FILES, AtFlags::SYMLINK_NOFOLLOW)?));
        let (store, files): (Stat, Stat) = look().map_err(MemoryError::of("look at", &path))?;
        let used = u64::try_from(files.st_mtime).unwrap_or(0).saturating_mul(1_000_000);
        Ok(Some(Kept { owner: store.st_uid, used: TimeUs(used), path, directory, server: self.server }))
    }

    /// Every name that remembers something.
    pub(super) fn names(&self) -> Result<Vec<AgentName>, MemoryError> {
        let list = |source| MemoryError::Io { attempt: "list", path: self.root.clone(), source };
        let mut names = Vec::new();
        for entry in self.root.read_dir().map_err(list)? {
            let entry = entry.map_err(list)?;
            names.extend(entry.file_name().to_str().and_then(|name| AgentName::parse(name).ok()));
        }
        names.sort();
        Ok(names)
    }

    /// Makes an empty store without a name, and gives the server's directory in it.
    pub(super) fn begin(&self, owner: u32) -> Result<(Unfinished, OwnedFd), MemoryError> {
        let ready = self.blanks().pop();
        let give = |blank: PathBuf| -> io::Result<(Unfinished, OwnedFd)> {
            chown(&blank, Some(owner), None)?;
            let files = openat(CWD, blank.join(FILES), DIRECTORY, Mode::empty())?;
            Ok((Unfinished(blank), files))
        };
        // One that somebody has removed is as none.
        if let Some(Ok(store)) = ready.map(give) {
            return Ok(store);
        }
        let fail = |source| MemoryError::Io { attempt: "create a store in", path: self.root.clone(), source };
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
        let parts = self.parts.iter().map(|part| files.join(part));
        for directory in std::iter::once(files.clone()).chain(parts) {
            builder.create(&directory)?;
            chown(&directory, Some(self.server), Some(self.server))?;
        }
        Ok(blank)
    }

    /// Removes what was made and not used.
    pub(super) fn close(&self) {
        for blank in std::mem::take(&mut *self.blanks()) {
            self.discard(Unfinished(blank));
        }
    }

    /// Gives a store a name, in the place of what the name remembered, which is removed. Nobody serves either any more.
    pub(super) fn replace(&self, name: &AgentName, store: Unfinished) -> Result<(), MemoryError> {
        self.name(name.as_str(), store)
    }

    fn name(&self, name: &str, Unfinished(store): Unfinished) -> Result<(), MemoryError> {
        let path = self.root.join(name);
        let place = || match renameat_with(CWD, &store, CWD, &path, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => renameat_with(CWD, &store, CWD, &path, RenameFlags::EXCHANGE).map(|()| true),
            placed => placed.map(|()| false),
        };
        if place().map_err(MemoryError::of("replace", &path))? {
            self.discard(Unfinished(store));
        }
        Ok(())
    }

    /// Removes a store that has no name. What cannot be removed is tried again when the daemon starts.
    pub(super) fn discard(&self, Unfinished(store): Unfinished) {
        discard(&store);
    }

    /// Removes a name that remembers nothing. Nobody serves it any more.
    pub(super) fn remove_empty(&self, name: &AgentName) -> Result<(), MemoryError> {
        let files = self.root.join(name.as_str()).join(FILES);
        for part in self.parts {
            let part = files.join(part);
            let fail = |source| MemoryError::Io { attempt: "list", path: part.clone(), source };
            if part.read_dir().map_err(fail)?.next().is_some() {
                return Ok(());
            }
        }
        self.remove(name)
    }

    /// Removes what a name remembers. Nobody serves it any more.
    pub(super) fn remove(&self, name: &AgentName) -> Result<(), MemoryError> {
        let (path, going) = (self.root.join(name.as_str()), self.unfinished());
        match renameat(CWD, &path, CWD, &going) {
            Ok(()) => {
                self.discard(Unfinished(going));
                Ok(())
            }
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(MemoryError::of("remove", &path)(error)),
        }
    }

    fn unfinished(&self) -> PathBuf {
        self.root.join(format!("{UNFINISHED}{}", self.made.fetch_add(1, Ordering::Relaxed)))
    }
}

fn discard(store: &Path) {
    if let Err(error) = removal::remove_all(store) {
        journal::error(format_args!("cannot remove {}: {error}", store.display()));
    }
}

/// A store that has a name.
#[derive(Debug)]
pub(super) struct Found {
    /// The server's directory in it.
    pub(super) files: OwnedFd,
    /// It was made just now.
    pub(super) is_new: bool,
}

/// A store that has no name yet, or no longer.
#[derive(Debug)]
pub(super) struct Unfinished(PathBuf);

/// What a name remembers.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Whose it is.
    pub(crate) owner: u32,
    /// When an agent began or ended with it, or it was restored.
    pub(crate) used: TimeUs,
    path: PathBuf,
    directory: OwnedFd,
    server: u32,
}

impl Kept {
    /// The server's directory in it.
    pub(crate) fn files(&self) -> Result<OwnedFd, MemoryError> {
        let path = self.path.join(FILES);
        let files = openat(&self.directory, FILES, DIRECTORY, Mode::empty()).map_err(MemoryError::of("open", &path))?;
        let owner = fstat(&files).map_err(MemoryError::of("look at", &path))?.st_uid;
        if owner == self.server { Ok(files) } else { Err(MemoryError::Foreign { path, owner, server: self.server }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
        let stores = Stores::open(root.clone(), 77, OWN).unwrap();
        let name = AgentName::parse("coder").unwrap();
        assert!(stores.of_agent(&name, &caller(5)).is_ok());
        fs::write(root.join("coder/files/x"), "kept").unwrap();
        assert!(stores.of_agent(&name, &caller(5)).is_ok());
        for other in [6, 0] {
            let refusal = stores.of_agent(&name, &caller(other)).unwrap_err().to_string();
            assert!(refusal.contains("another user") && refusal.contains("agentctl memory rm"), "{refusal}");
        }
        let again = Stores::open(root.clone(), 78, OWN).unwrap();
        let foreign = again.of_agent(&name, &caller(5)).unwrap_err().to_string();
        assert!(foreign.contains("chown -R 78:78"), "{foreign}");
        stores.remove(&name).unwrap();
        assert!(stores.of_agent(&name, &caller(6)).is_ok());
        assert!(!root.join("coder/files/x").exists());
    }
}
