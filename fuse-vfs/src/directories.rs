//! Descriptors of directories: those of the areas' roots for good, and of the directories used last.

use crate::area::Area;
use crate::nodes::{NodeId, Nodes};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Descriptors that one mount holds for directories that are not open. A thousand mounts fit into `fs.nr_open`.
const MOST: usize = 128;

/// How a directory is opened to be named by: without a right to read it.
pub(crate) const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    roots: HashMap<NodeId, (Area, Arc<OwnedFd>)>,
    cached: HashMap<NodeId, (Arc<OwnedFd>, u64)>,
    clock: u64,
}

impl Directories {
    pub(crate) fn insert_root(&mut self, id: NodeId, area: Area, directory: OwnedFd) {
        self.roots.insert(id, (area, Arc::new(directory)));
    }

    /// The node of an area's root.
    pub(crate) fn root(&self, area: Area) -> Option<NodeId> {
        self.roots.iter().find(|(_, (of, _))| *of == area).map(|(id, _)| *id)
    }

    /// A descriptor of the directory `id`, found by its name beneath the nearest one that is at hand.
    pub(crate) fn open(&mut self, nodes: &Nodes, id: NodeId) -> Result<Arc<OwnedFd>, Errno> {
        let mut below = Vec::new();
        let mut at = id;
        let mut directory = loop {
            if let Some(directory) = self.at_hand(nodes, at) {
                break directory;
            }
            let name = nodes.get(at)?.names.first().ok_or(Errno::NOENT)?;
            below.push((at, name));
            at = name.parent;
        };
        while let Some((id, name)) = below.pop() {
            directory = Arc::new(openat(&*directory, &*name.name, DIRECTORY, Mode::empty())?);
            self.keep(id, &directory);
        }
        Ok(directory)
    }

    fn at_hand(&mut self, nodes: &Nodes, id: NodeId) -> Option<Arc<OwnedFd>> {
        if let Some((_, root)) = self.roots.get(&id) {
            return Some(Arc::clone(root));
        }
        self.clock += 1;
        if let Some((directory, used)) = self.cached.get_mut(&id) {
            *used = self.clock;
            return Some(Arc::clone(directory));
        }
        nodes.get(id).ok()?.orphan.as_ref().map(|orphan| Arc::clone(&orphan.file))
    }

    fn keep(&mut self, id: NodeId, directory: &Arc<OwnedFd>) {
        if self.cached.len() >= MOST
            && let Some(oldest) = self.cached.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id)
        {
            self.cached.remove(&oldest);
        }
        self.cached.insert(id, (Arc::clone(directory), self.clock));
    }

    /// Lets go of one that was removed or forgotten.
    pub(crate) fn close(&mut self, id: NodeId) {
        self.cached.remove(&id);
    }
}
