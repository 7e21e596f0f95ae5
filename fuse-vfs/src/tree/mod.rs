//! One agent's file system, free of FUSE: what the kernel asks for by node and handle, answered from the backing
//! directories.
//!
//! ```text
//!   /            published      status, policy/, tools/, ipc/       held in memory
//!   /mem         published      the roots of working (tmpfs), episodic, semantic, procedural (disk)
//!   /state       stored         its own directory on disk
//! ```
//! A stored file is the file of the same name beneath its area's directory, with its mode and times; its owner on disk
//! is this server. Every name and every size on disk changes only through here, so what is known of them stays true.

mod attributes;
mod expiry;
mod files;
mod handles;
mod listing;
mod names;
mod removal;
mod walk;
mod xattrs;

use crate::area::{Area, Caller, Change, Purpose, may};
use crate::attributes::{Attributes, Time};
use crate::directories::Directories;
use crate::nodes::{Name, Node, NodeId, Nodes};
use crate::published::{FIRST_STORED, FIXED, Published, ROOT, is_name};
use crate::quota::Account;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, statx};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

pub use self::attributes::{Changes, NewTime};
pub use self::expiry::Expired;
pub use self::files::{Access, Io, Opened};
pub use self::handles::Handle;
pub use self::listing::Listed;
pub use self::names::NewFile;
pub use self::xattrs::HowToSet;

/// Every call answers with what the kernel is to be told.
pub type Result<T> = std::result::Result<T, Errno>;

/// What is asked of the backing file system.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS;

/// An area and where it lies.
#[derive(Debug)]
pub struct Part {
    /// Which.
    pub area: Area,
    /// Its directory, of the server's own.
    pub directory: OwnedFd,
    /// How much it may hold and holds.
    pub account: Account,
}

/// A node and its attributes, answered to a lookup; the kernel forgets it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub node: NodeId,
    /// Its attributes.
    pub attributes: Attributes,
    /// Names of it change only through this tree, so the kernel may remember them.
    pub stable: bool,
}

/// The file system.
#[derive(Debug)]
pub struct Tree {
    purpose: Purpose,
    published: Published,
    nodes: Nodes,
    directories: Directories,
    accounts: BTreeMap<Area, Account>,
    /// Areas that are counted when somebody asks how much they hold.
    uncounted: BTreeSet<Area>,
    handles: handles::Handles,
    /// Files of `working` that expire, the next one first, in nanoseconds of CLOCK_BOOTTIME.
    expiring: BTreeSet<(u64, NodeId)>,
}

impl Tree {
    /// A tree of these parts.
    ///
    /// # Errors
    /// When the backing directories cannot be read.
    pub fn new(purpose: Purpose, parts: Vec<Part>) -> Result<Self> {
        let now = now();
        let mut tree = Self {
            purpose,
            published: Published::new(now),
            nodes: Nodes::default(),
            directories: Directories::default(),
            accounts: BTreeMap::new(),
            uncounted: BTreeSet::new(),
            handles: handles::Handles::default(),
            expiring: BTreeSet::new(),
        };
        let memory = tree.published.child(ROOT, OsStr::new("mem"), now);
        // Its number is taken in every tree, so that those up to it are of the same directories in all.
        tree.published.reserve(memory, semantic(), now);
        for Part { area, directory, account } in parts {
            let stat = statx(&directory, "", AtFlags::EMPTY_PATH, WANTED)?;
            let id = tree.nodes.insert_root(area, stat.stx_ino);
            tree.directories.insert_root(id, area, directory);
            tree.accounts.insert(area, account);
            let parent = if area == Area::State { ROOT } else { memory };
            tree.published.attach(parent, OsStr::new(area.name()), id, now);
        }
        Ok(tree)
    }

    /// Lists an empty `mem/semantic`, for a mount to stand on. For a tree that has no such part.
    pub fn show_place_of_semantic(&mut self) {
        let memory = self.published.child(ROOT, OsStr::new("mem"), now());
        self.published.child(memory, semantic(), now());
    }

    /// The root's number.
    #[must_use]
    pub fn root() -> NodeId {
        ROOT
    }

    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// What an area holds.
    #[must_use]
    pub fn account(&self, area: Area) -> Option<Account> {
        self.accounts.get(&area).copied()
    }

    /// How many nodes the kernel knows.
    #[must_use]
    pub fn known(&self) -> usize {
        self.nodes.len()
    }

    /// Puts a file of the daemon's into the tree; its number, so that the kernel can be told.
    ///
    /// # Errors
    /// EINVAL for a path that is not the daemon's, EISDIR and ENOTDIR where something else stands.
    pub fn publish(&mut self, path: &str, mode: u16, bytes: Arc<[u8]>) -> Result<NodeId> {
        self.published.publish(path, mode, bytes, now())
    }

    /// Takes a published file away.
    ///
    /// # Errors
    /// As [`Self::publish`], and ENOENT.
    pub fn withdraw(&mut self, path: &str) -> Result<()> {
        self.published.withdraw(path, now()).map(|_| ())
    }

    /// Ends: every further call fails, and nothing of the backing file systems is held.
    pub fn close(&mut self) {
        self.handles = handles::Handles::default();
        self.nodes = Nodes::default();
        self.directories = Directories::default();
        self.expiring.clear();
    }

    /// The kernel no longer names `node`, as often as it had looked it up `count` times.
    pub fn forget(&mut self, node: NodeId, count: u64) {
        if is_stored(node) {
            self.nodes.forget(node, count);
            if !self.nodes.contains(node) {
                self.directories.close(node);
            }
            self.settle();
        }
    }

    fn allow(&self, area: Area, caller: Caller, change: Change) -> Result<()> {
        may(self.purpose, area, caller, change)
    }

    /// The area in whose directory `parent` something is to be changed.
    fn area_for(&self, parent: NodeId, name: &OsStr, caller: Caller, change: Change) -> Result<Area> {
        if !is_stored(parent) {
            return Err(Errno::ROFS);
        }
        if !is_name(name) {
            return Err(Errno::INVAL);
        }
        let area = self.nodes.get(parent)?.area;
        self.allow(area, caller, change)?;
        Ok(area)
    }

    fn account_mut(&mut self, area: Area) -> Result<&mut Account> {
        self.accounts.get_mut(&area).ok_or(Errno::STALE)
    }

    fn directory(&mut self, id: NodeId) -> Result<Arc<OwnedFd>> {
        self.directories.open(&self.nodes, id)
    }

    /// What is known of `node` now: by its open file, by what holds it after its last name went, or by its name.
    fn stat(&mut self, id: NodeId) -> Result<Statx> {
        let node = self.nodes.get(id)?;
        let held = node.open.as_ref().map(|open| &open.file).or(node.orphan.as_ref().map(|orphan| &orphan.file));
        if let Some(file) = held {
            return statx(&**file, "", AtFlags::EMPTY_PATH, WANTED);
        }
        let Some(Name { parent, name }) = node.names.first().cloned() else {
            let directory = self.directory(id)?;
            return statx(&*directory, "", AtFlags::EMPTY_PATH, WANTED);
        };
        let directory = self.directory(parent)?;
        statx(&*directory, &*name, AtFlags::SYMLINK_NOFOLLOW, WANTED)
    }

    /// Learns a name that was just found or made, and takes note that the kernel will be told.
    fn learn(&mut self, parent: NodeId, name: &OsStr, area: Area, stat: &Statx) -> NodeId {
        let file_type = FileType::from_raw_mode(u32::from(stat.stx_mode));
        let id = self.nodes.learn(Name::new(parent, name), (area, stat.stx_ino), file_type);
        self.nodes.remember(id);
        id
    }

    fn entry(&self, node: NodeId, area: Area, stat: &Statx) -> Entry {
        Entry { node, attributes: shown(area, stat), stable: self.purpose != Purpose::Inspect }
    }
}

fn semantic() -> &'static OsStr {
    OsStr::new(Area::Semantic.name())
}

/// Whether a number is that of a file beneath an area, and not of a published one.
pub(crate) fn is_stored(id: NodeId) -> bool {
    id.0 >= FIRST_STORED
}

/// Whether a number is of a stored file or of a directory that stands from the beginning to the end (those of
/// [`Published::new`], `mem` and `mem/semantic` after them): its name means the same node for ever, so the kernel may remember it.
pub(crate) fn is_lasting(id: NodeId) -> bool {
    is_stored(id) || id.0 <= FIXED
}

fn shown(area: Area, stat: &Statx) -> Attributes {
    Attributes::of(stat, NodeId::of(area, stat.stx_ino).0)
}

fn now() -> Time {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Time { seconds: now.tv_sec, nanoseconds: u32::try_from(now.tv_nsec).unwrap_or(0) }
}

/// Nanoseconds of CLOCK_BOOTTIME.
pub(crate) fn uptime() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

fn regular(node: &Node) -> Result<()> {
    match node.file_type {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Errno::ISDIR),
        _ => Err(Errno::INVAL),
    }
}
