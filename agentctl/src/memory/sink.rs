//! Entries into an empty tree.

use super::path::{BadPath, TreePath};
use super::tree::{self, Tree};
use crate::tar::{Entry, Kind, Time};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags, fchmod, fsetxattr, futimens, linkat,
    mkdirat, mknodat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;
use std::collections::{BTreeMap, btree_map};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

/// Of directories that are only named on the way to something.
const ON_THE_WAY: u32 = 0o755;

/// Why an entry cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    /// Not a source: the sentence has it already.
    #[error("{path} is {why}")]
    Path { path: String, why: BadPath },
    #[error("{0} lies in no part of a memory (mem/episodic, mem/semantic, mem/procedural, state)")]
    NoPart(TreePath),
    #[error("{0} comes twice")]
    Twice(TreePath),
    #[error("{0} is a directory here and something else there")]
    Conflict(TreePath),
    #[error("{path} is another name of {to}, which is no file that came before")]
    Link { path: TreePath, to: String },
    #[error("cannot make {path}")]
    Make { path: TreePath, source: Errno },
    #[error("{path}: its content")]
    Content { path: TreePath, source: io::Error },
}

/// Writes a tree.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    tree: &'a Tree,
    /// The directory that was written to last.
    parent: Option<(TreePath, OwnedFd)>,
    /// What directories get when nothing more is written into them.
    directories: BTreeMap<TreePath, Entry>,
}

impl<'a> Sink<'a> {
    /// Into a tree in which there are only the parts.
    pub(crate) fn new(tree: &'a Tree) -> Self {
        Self { tree, parent: None, directories: BTreeMap::new() }
    }

    /// What there is at a path already.
    pub(crate) fn kind(&self, path: &TreePath) -> Result<Option<FileType>, SinkError> {
        match self.tree.stat(path) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(source) => Err(SinkError::Make { path: path.clone(), source }),
        }
    }

    /// Whether a directory was given, and not only named on the way to something.
    pub(crate) fn has_directory(&self, path: &TreePath) -> bool {
        self.directories.contains_key(path)
    }

    /// Writes an entry.
    pub(crate) fn put(&mut self, path: TreePath, entry: Entry, content: &mut dyn Read) -> Result<(), SinkError> {
        let directory = entry.kind == Kind::Directory;
        if path.part().is_none() {
            return if directory && path.is_above_parts() { Ok(()) } else { Err(SinkError::NoPart(path)) };
        }
        let (Some((parent, name)), false) = (path.split(), path.is_part()) else {
            return if directory { self.keep(path, entry) } else { Err(SinkError::NoPart(path)) };
        };
        let name = name.to_vec();
        let parent = self.parent(parent)?;
        let made = match &entry.kind {
            Kind::Directory => return self.directory((path, &name), entry),
            Kind::HardLink { to } => self.link((&path, &name), to)?,
            Kind::File { .. } => {
                file((parent, &name), &entry, content).map_err(|error| match error.raw_os_error() {
                    Some(code) if code == Errno::EXIST.raw_os_error() => SinkError::Twice(path.clone()),
                    _ => SinkError::Content { path: path.clone(), source: error },
                })?
            }
            Kind::Symlink { target } => {
                symlinkat(target.as_slice(), parent, name.as_slice()).and_then(|()| dated((parent, &name), entry.mtime))
            }
            Kind::Fifo => fifo((parent, &name), &entry),
        };
        made.map_err(|source| match source {
            Errno::EXIST => SinkError::Twice(path),
            source => SinkError::Make { path, source },
        })
    }

    /// Gives every directory its attributes, those farthest below first.
    pub(crate) fn finish(self) -> Result<(), SinkError> {
        for (path, entry) in self.directories.into_iter().rev() {
            let dressed = self.tree.directory(&path).and_then(|directory| dress(&directory, &entry));
            dressed.map_err(|source| SinkError::Make { path, source })?;
        }
        Ok(())
    }

    fn directory(&mut self, (path, name): (TreePath, &[u8]), entry: Entry) -> Result<(), SinkError> {
        let Some((_, parent)) = &self.parent else { return Err(SinkError::NoPart(path)) };
        match mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) if self.kind(&path)? == Some(FileType::Directory) => {}
            Err(Errno::EXIST) => return Err(SinkError::Twice(path)),
            Err(source) => return Err(SinkError::Make { path, source }),
        }
        self.keep(path, entry)
    }

    fn keep(&mut self, path: TreePath, entry: Entry) -> Result<(), SinkError> {
        match self.directories.entry(path) {
            btree_map::Entry::Vacant(place) => {
                place.insert(entry);
                Ok(())
            }
            btree_map::Entry::Occupied(place) => Err(SinkError::Twice(place.key().clone())),
        }
    }

    /// The outer error names the file that is not there, the inner one is of making the link.
    fn link(&self, (path, name): (&TreePath, &[u8]), to: &[u8]) -> Result<Result<(), Errno>, SinkError> {
        let wrong = || SinkError::Link { path: path.clone(), to: protocol::text::escape_bytes(to) };
        let first = TreePath::relative(to).map_err(|_| wrong())?;
        let within = first.part().is_some() && first.part() == path.part();
        if !within || self.kind(&first)? != Some(FileType::RegularFile) {
            return Err(wrong());
        }
        let (Some((directory, of)), Some((_, parent))) = (first.split(), &self.parent) else { return Err(wrong()) };
        let linked = self.tree.open(&directory, OFlags::PATH | OFlags::DIRECTORY);
        Ok(linked.and_then(|directory| linkat(directory, of, parent, name, AtFlags::empty())))
    }

    /// The directory in which a name is made; made itself when it is not there.
    fn parent(&mut self, path: TreePath) -> Result<&OwnedFd, SinkError> {
        let known = self.parent.take().filter(|(known, _)| *known == path);
        let directory = match known {
            Some((_, directory)) => directory,
            None => match self.tree.open(&path, OFlags::PATH | OFlags::DIRECTORY) {
                Err(Errno::NOENT) => self.on_the_way(&path),
                other => other,
            }
            .map_err(|source| SinkError::Make { path: path.clone(), source })?,
        };
        Ok(&self.parent.insert((path, directory)).1)
    }

    fn on_the_way(&self, path: &TreePath) -> Result<OwnedFd, Errno> {
        let mut at = self.tree.directory(&TreePath::default())?;
        for name in path.as_bytes().split(|byte| *byte == b'/') {
            let open = |at: &OwnedFd| tree::beneath(at, name, OFlags::RDONLY | OFlags::DIRECTORY);
            at = match open(&at) {
                Err(Errno::NOENT) => {
                    mkdirat(&at, name, Mode::RWXU)?;
                    let made = open(&at)?;
                    // Not by mkdir(2), from which the umask takes bits away.
                    fchmod(&made, Mode::from_raw_mode(ON_THE_WAY))?;
                    made
                }
                other => other?,
            };
        }
        Ok(at)
    }
}

fn file((parent, name): (&OwnedFd, &[u8]), entry: &Entry, content: &mut dyn Read) -> io::Result<Result<(), Errno>> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?);
    io::copy(content, &mut file)?;
    Ok(dress(&file, entry))
}

fn fifo((parent, name): (&OwnedFd, &[u8]), entry: &Entry) -> Result<(), Errno> {
    mknodat(parent, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let mode = Mode::from_raw_mode(entry.mode);
    // The name was made just now in a tree that nobody else has.
    rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
    dated((parent, name), entry.mtime)
}

/// Attributes, mode and time, in this order: each later one undoes nothing of an earlier one.
fn dress(file: impl AsFd, entry: &Entry) -> Result<(), Errno> {
    for (name, value) in &entry.attributes {
        fsetxattr(&file, name.as_slice(), value, XattrFlags::empty())?;
    }
    fchmod(&file, Mode::from_raw_mode(entry.mode))?;
    futimens(&file, &times(entry.mtime))
}

fn dated((parent, name): (&OwnedFd, &[u8]), mtime: Time) -> Result<(), Errno> {
    utimensat(parent, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)
}

fn times(mtime: Time) -> Timestamps {
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Timestamps { last_access, last_modification: tree::timespec(mtime) }
}
