//! A tree as the entries of an archive.

use super::path::TreePath;
use super::tree::{self, Tree};
use super::walk::{Found, Walk, WalkError};
use crate::tar::{ATTRIBUTES, Entry, Kind};
use protocol::memory::Part;
use rustix::fs::{FileType, OFlags, fgetxattr, flistxattr};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

/// Longest list of attributes, and longest attribute, as Linux has it (xattr(7)).
const ATTRIBUTE_MAX: usize = 64 << 10;
/// Longest path in bytes: four times what a program can name at once (PATH_MAX). An archive holds every path whole, so that
/// without a bound a deep tree is many times as large in it as on the disk.
pub(crate) const LONGEST_PATH: usize = 16 << 10;
/// What the paths of files in memory begin with.
const WORKING: &[u8] = b"mem/working/";

/// Why a tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    Walk(#[from] WalkError),
    #[error("cannot read {path}")]
    Read { path: TreePath, source: Errno },
    #[error("keep {count} names of what is there now: their paths are longer than {} KiB", LONGEST_PATH >> 10)]
    Deep { count: u64 },
}

/// Goes through the parts of a tree.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    tree: &'a Tree,
    parts: std::vec::IntoIter<Part>,
    walk: Option<Walk>,
    /// Files with several names, and the first of those that was given.
    links: HashMap<(u64, u64), TreePath>,
    /// Sockets, which no archive holds.
    pub(crate) sockets: Vec<TreePath>,
    /// How many names lie too deep, without what is beneath them.
    pub(crate) too_deep: u64,
    /// Files in memory that are nearly all holes, and larger than the memory.
    pub(crate) too_large: Vec<TreePath>,
    /// Bytes of files in memory so far.
    working: u64,
}

/// An entry, and for a file its content.
pub(crate) type Given = (TreePath, Entry, Option<File>);

impl<'a> Source<'a> {
    /// Over these parts, as far as the tree has them.
    pub(crate) fn new(tree: &'a Tree, parts: Vec<Part>) -> Self {
        Self {
            tree,
            parts: parts.into_iter(),
            walk: None,
            links: HashMap::new(),
            sockets: Vec::new(),
            too_deep: 0,
            too_large: Vec::new(),
            working: 0,
        }
    }

    /// The next entry that is wanted. Those beneath a directory that is not wanted are asked about all the same.
    pub(crate) fn next<E: From<SourceError>>(
        &mut self,
        mut wanted: impl FnMut(&TreePath, FileType) -> Result<bool, E>,
    ) -> Result<Option<Given>, E> {
        loop {
            let Some(walk) = &mut self.walk else {
                let Some(part) = self.parts.next() else { return Ok(None) };
                let path = TreePath::of_part(part);
                if let Some(root) = self.begin(&path)?
                    && wanted(&path, FileType::Directory)?
                {
                    return Ok(Some(root));
                }
                continue;
            };
            let Some(found) = walk.next().map_err(SourceError::from)? else {
                self.walk = None;
                continue;
            };
            if !wanted(&found.path, found.kind())? {
                continue;
            }
            if found.path.as_bytes().len() > LONGEST_PATH {
                walk.pass_over();
                self.too_deep += 1;
                continue;
            }
            if let Some(given) = self.given(&found)? {
                return Ok(Some(given));
            }
        }
    }

    /// The part's own directory; `None` when this tree has no such part.
    fn begin(&mut self, path: &TreePath) -> Result<Option<Given>, SourceError> {
        let failed = |source| SourceError::Read { path: path.clone(), source };
        let directory = match self.tree.directory(path) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let stat = rustix::fs::fstat(&directory).map_err(failed)?;
        let found = Found { path: path.clone(), name: Vec::new(), stat };
        let attributes = attributes(&directory).map_err(failed)?;
        self.walk = Some(Walk::new(self.tree, path.clone())?);
        Ok(Some((path.clone(), entry(&found, Kind::Directory, attributes), None)))
    }

    /// `None` for what no archive holds, and for what has just vanished.
    fn given(&mut self, found: &Found) -> Result<Option<Given>, SourceError> {
        let Some(directory) = self.walk.as_ref().and_then(Walk::directory) else { return Ok(None) };
        let result = match found.kind() {
            FileType::RegularFile => return self.file(found),
            FileType::Directory => tree::beneath(directory, &found.name, OFlags::RDONLY | OFlags::DIRECTORY)
                .and_then(|below| attributes(&below))
                .map(|attributes| entry(found, Kind::Directory, attributes)),
            FileType::Symlink => tree::target(directory, &found.name)
                .map(|target| entry(found, Kind::Symlink { target }, BTreeMap::new())),
            FileType::Fifo => Ok(entry(found, Kind::Fifo, BTreeMap::new())),
            _ => {
                self.sockets.push(found.path.clone());
                return Ok(None);
            }
        };
        match result {
            Ok(entry) => Ok(Some((found.path.clone(), entry, None))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(source) => Err(SourceError::Read { path: found.path.clone(), source }),
        }
    }

    /// On disk holes count as content does. In memory they do not, and the files together may say to be of any size.
    fn is_too_large(&mut self, entry: &Entry, content: &File) -> bool {
        let Kind::File { size } = entry.kind else { return false };
        if !entry.path.starts_with(WORKING) {
            return false;
        }
        let room = rustix::fs::fstatvfs(content).map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize));
        let together = self.working.saturating_add(size);
        if together <= room {
            self.working = together;
        }
        together > room
    }

    fn file(&mut self, found: &Found) -> Result<Option<Given>, SourceError> {
        let identity = (found.stat.st_dev, found.stat.st_ino);
        let path = found.path.clone();
        if let Some(first) = self.links.get(&identity) {
            let kind = Kind::HardLink { to: first.as_bytes().to_vec() };
            return Ok(Some((path, entry(found, kind, BTreeMap::new()), None)));
        }
        let Some(directory) = self.walk.as_ref().and_then(Walk::directory) else { return Ok(None) };
        match open_file(directory, found) {
            Ok((entry, content)) => {
                if self.is_too_large(&entry, &content) {
                    self.too_large.push(path);
                    return Ok(None);
                }
                if found.stat.st_nlink > 1 {
                    self.links.insert(identity, path.clone());
                }
                Ok(Some((path, entry, Some(content))))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(source) => Err(SourceError::Read { path, source }),
        }
    }
}

/// The file as it is when it is open; its name may stand for another one by then.
fn open_file(directory: BorrowedFd<'_>, found: &Found) -> Result<(Entry, File), Errno> {
    let content = tree::content(directory, &found.name)?;
    let stat = rustix::fs::fstat(&content)?;
    let attributes = attributes(&content)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let found = Found { path: found.path.clone(), name: Vec::new(), stat };
    Ok((entry(&found, Kind::File { size }, attributes), content))
}

fn entry(found: &Found, kind: Kind, attributes: BTreeMap<Vec<u8>, Vec<u8>>) -> Entry {
    // The kernel gives every link 0777, which says nothing.
    let mode = if matches!(kind, Kind::Symlink { .. }) { 0o777 } else { found.stat.st_mode & 0o7777 };
    Entry { path: found.path.as_bytes().to_vec(), kind, mode, mtime: tree::mtime(&found.stat), attributes }
}

fn attributes(file: impl AsFd) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    let mut list = vec![0; ATTRIBUTE_MAX];
    let length = match flistxattr(&file, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error),
    };
    let mut attributes = BTreeMap::new();
    for name in list[..length].split(|byte| *byte == 0).filter(|name| name.starts_with(ATTRIBUTES)) {
        let mut value = vec![0; ATTRIBUTE_MAX];
        match fgetxattr(&file, name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                value.shrink_to_fit();
                attributes.insert(name.to_vec(), value);
            }
            // Removed meanwhile.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(attributes)
}
