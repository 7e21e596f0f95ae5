//! The files that the kernel knows of, by the numbers that it was given.
//!
//! A node is kept while the kernel may name it: as long as lookups are not forgotten, something beneath it is known, or
//! it is pinned. What it is called is known exactly, since every change of a name goes through this server; so no
//! descriptor is held for a node that is not open, and a million known files cost memory but no descriptors.
//!
//! A node's number is made of the file's on its own file system, so stat(2) tells the same one for as long as the file
//! exists. A file that is removed while the kernel knows it is held open until it is forgotten, so the backing file
//! system cannot give its number to another meanwhile.

use crate::area::Area;
use crate::descriptors::Descriptor;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The number of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u64);

impl NodeId {
    /// The number of the file `ino` of an area. The backing file systems have fewer than 2^56 files.
    pub(crate) fn of(area: Area, ino: u64) -> Self {
        let tag = match area {
            Area::Working => 1,
            Area::Episodic => 2,
            Area::Semantic => 3,
            Area::Procedural => 4,
            Area::State => 5,
        };
        Self((tag << 56) | (ino & ((1 << 56) - 1)))
    }
}

/// A name in a directory; copies share the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) parent: NodeId,
    pub(crate) name: Arc<OsStr>,
}

impl Name {
    pub(crate) fn new(parent: NodeId, name: &OsStr) -> Self {
        Self { parent, name: name.into() }
    }
}

/// A file that at least one handle has open.
#[derive(Debug)]
pub(crate) struct Open {
    /// Readable and writable, whatever the handles may do.
    pub(crate) file: Arc<OwnedFd>,
    /// Handles.
    pub(crate) handles: u32,
    /// Present size; exact on disk, where every change of it goes through the server.
    pub(crate) size: u64,
}

/// Room for nodes that is kept.
const SMALL: usize = 1024;

/// What holds a file whose last name was removed while the kernel still knew it.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) file: Arc<OwnedFd>,
    /// What a directory counted besides itself; without a name it has no size any more.
    pub(crate) of_directory: u64,
    pub(crate) _descriptor: Descriptor,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) area: Area,
    pub(crate) file_type: FileType,
    /// References of the kernel.
    pub(crate) lookups: u64,
    /// Known names of known nodes beneath it.
    pub(crate) children: u32,
    /// The known names; none once all are removed.
    pub(crate) names: Vec<Name>,
    pub(crate) open: Option<Open>,
    /// Set once it has no name. What it takes is counted until the node goes.
    pub(crate) orphan: Option<Orphan>,
    /// When it expires, in nanoseconds of CLOCK_BOOTTIME. Pins the node.
    pub(crate) expires: Option<u64>,
    /// The root of an area, which stays.
    pub(crate) root: bool,
}

impl Node {
    fn is_needed(&self) -> bool {
        self.root || self.lookups > 0 || self.children > 0 || self.open.is_some() || self.expires.is_some()
    }
}

/// All nodes of one tree.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    nodes: HashMap<NodeId, Node>,
    by_name: HashMap<Name, NodeId>,
    orphans: usize,
    /// Orphans whose nodes have gone: to be counted out.
    gone: Vec<Node>,
}

impl Nodes {
    /// ESTALE for a number that was forgotten.
    pub(crate) fn get(&self, id: NodeId) -> Result<&Node, Errno> {
        self.nodes.get(&id).ok_or(Errno::STALE)
    }

    pub(crate) fn get_mut(&mut self, id: NodeId) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&id).ok_or(Errno::STALE)
    }

    /// The node of a file, when it is known.
    pub(crate) fn with_ino(&self, area: Area, ino: u64) -> Option<NodeId> {
        Some(NodeId::of(area, ino)).filter(|id| self.nodes.contains_key(id))
    }

    /// The root of an area.
    pub(crate) fn insert_root(&mut self, area: Area, ino: u64) -> NodeId {
        let id = self.insert(area, ino, FileType::Directory);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.root = true;
        }
        id
    }

    /// Learns that `name` leads to this file, which may be known by another name.
    pub(crate) fn learn(&mut self, name: Name, (area, ino): (Area, u64), file_type: FileType) -> NodeId {
        let id = self.insert(area, ino, file_type);
        self.name(id, name);
        id
    }

    fn insert(&mut self, area: Area, ino: u64, file_type: FileType) -> NodeId {
        let id = NodeId::of(area, ino);
        self.nodes.entry(id).or_insert_with(|| Node {
            area,
            file_type,
            lookups: 0,
            children: 0,
            names: Vec::new(),
            open: None,
            orphan: None,
            expires: None,
            root: false,
        });
        id
    }

    /// Gives `id` a name.
    pub(crate) fn name(&mut self, id: NodeId, name: Name) {
        if self.by_name.get(&name) == Some(&id) {
            return;
        }
        self.detach(&name);
        if let Some(parent) = self.nodes.get_mut(&name.parent) {
            parent.children += 1;
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.names.push(name.clone());
        }
        self.by_name.insert(name, id);
    }

    /// Forgets a name; the node stays while it is needed.
    pub(crate) fn unname(&mut self, name: &Name) -> Option<NodeId> {
        let id = self.detach(name)?;
        self.drop_unneeded(name.parent);
        self.drop_unneeded(id);
        Some(id)
    }

    fn detach(&mut self, name: &Name) -> Option<NodeId> {
        let id = self.by_name.remove(name)?;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.names.retain(|known| known != name);
        }
        if let Some(node) = self.nodes.get_mut(&name.parent) {
            node.children = node.children.saturating_sub(1);
        }
        Some(id)
    }

    /// What was called `old` is called `new` now, and nothing else is.
    pub(crate) fn rename(&mut self, old: &Name, new: Name) {
        self.unname(&new);
        let parent = old.parent;
        if let Some(id) = self.detach(old) {
            self.name(id, new);
            self.drop_unneeded(id);
        }
        self.drop_unneeded(parent);
    }

    /// Two names change places.
    pub(crate) fn exchange(&mut self, one: Name, other: Name) {
        let (first, second) = (self.detach(&one), self.detach(&other));
        let parents = [one.parent, other.parent];
        if let Some(id) = first {
            self.name(id, other);
        }
        if let Some(id) = second {
            self.name(id, one);
        }
        for id in first.into_iter().chain(second).chain(parents) {
            self.drop_unneeded(id);
        }
    }

    /// Takes a lookup note of; each is forgotten once.
    pub(crate) fn remember(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.lookups += 1;
        }
    }

    pub(crate) fn forget(&mut self, id: NodeId, count: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.lookups = node.lookups.saturating_sub(count);
        }
        self.drop_unneeded(id);
    }

    /// Removes a node that nobody can name any more, and then its parents. Iterative: trees may be deep.
    pub(crate) fn drop_unneeded(&mut self, id: NodeId) {
        let mut candidates = vec![id];
        while let Some(id) = candidates.pop() {
            if self.nodes.get(&id).is_none_or(Node::is_needed) {
                continue;
            }
            let Some(node) = self.nodes.remove(&id) else { continue };
            for name in &node.names {
                self.by_name.remove(name);
                if let Some(parent) = self.nodes.get_mut(&name.parent) {
                    parent.children = parent.children.saturating_sub(1);
                    candidates.push(name.parent);
                }
            }
            if node.orphan.is_some() {
                self.gone.push(node);
            }
        }
        self.give_back();
    }

    /// Keeps a file that has lost its last name.
    pub(crate) fn keep_orphan(&mut self, id: NodeId, orphan: Orphan) {
        if let Some(node) = self.nodes.get_mut(&id)
            && node.orphan.replace(orphan).is_none()
        {
            self.orphans += 1;
        }
    }

    /// How many files without a name are kept.
    pub(crate) fn orphans(&self) -> usize {
        self.orphans
    }

    /// The orphans that have gone since this was asked last.
    pub(crate) fn take_gone(&mut self) -> Vec<Node> {
        let gone = std::mem::take(&mut self.gone);
        self.orphans = self.orphans.saturating_sub(gone.len());
        gone
    }

    /// All orphans, gone or not.
    pub(crate) fn take_orphans(&mut self) -> Vec<Node> {
        let ids: Vec<NodeId> = self.nodes.iter().filter(|(_, node)| node.orphan.is_some()).map(|(id, _)| *id).collect();
        let kept = ids.into_iter().filter_map(|id| self.nodes.remove(&id));
        let orphans: Vec<Node> = kept.chain(std::mem::take(&mut self.gone)).collect();
        self.orphans = 0;
        orphans
    }

    /// Gives memory back once most of what was known is forgotten.
    fn give_back(&mut self) {
        if self.nodes.capacity() > SMALL && self.nodes.len() < self.nodes.capacity() / 8 {
            self.nodes.shrink_to(SMALL);
            self.by_name.shrink_to(SMALL);
        }
    }

    /// Whether `id` is still there; a cached descriptor of one that is not must be closed.
    pub(crate) fn contains(&self, id: NodeId) -> bool {
        self.nodes.contains_key(&id)
    }

    /// How many nodes are known.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The names of a node, to be taken away.
    pub(crate) fn names(&self, id: NodeId) -> Vec<(NodeId, OsString)> {
        let names = self.nodes.get(&id).map(|node| node.names.as_slice()).unwrap_or_default();
        names.iter().map(|name| (name.parent, name.name.to_os_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(nodes: &mut Nodes, parent: NodeId, name: &str, ino: u64) -> NodeId {
        let id = nodes.learn(Name::new(parent, OsStr::new(name)), (Area::State, ino), FileType::RegularFile);
        nodes.remember(id);
        id
    }

    #[test]
    fn what_is_forgotten_takes_its_parents_along() {
        let mut nodes = Nodes::default();
        let root = nodes.insert_root(Area::State, 1);
        let directory = nodes.learn(Name::new(root, OsStr::new("d")), (Area::State, 2), FileType::Directory);
        nodes.remember(directory);
        let file = file(&mut nodes, directory, "f", 3);
        nodes.forget(directory, 1);
        assert!(nodes.contains(directory), "a known file lies in it");
        nodes.forget(file, 1);
        assert_eq!((nodes.len(), nodes.contains(root)), (1, true));
    }

    #[test]
    fn two_names_are_one_file_until_it_is_forgotten() {
        let mut nodes = Nodes::default();
        let root = nodes.insert_root(Area::State, 1);
        let first = file(&mut nodes, root, "a", 2);
        assert_eq!(file(&mut nodes, root, "b", 2), first);
        for name in ["a", "b"] {
            nodes.unname(&Name::new(root, OsStr::new(name)));
        }
        assert!(nodes.contains(first), "the kernel still names it");
        nodes.forget(first, 2);
        assert!(!nodes.contains(first));
    }

    #[test]
    fn names_change_places() {
        let mut nodes = Nodes::default();
        let root = nodes.insert_root(Area::State, 1);
        let (first, second) = (file(&mut nodes, root, "a", 2), file(&mut nodes, root, "b", 3));
        let name = |name: &str| Name::new(root, OsStr::new(name));
        nodes.exchange(name("a"), name("b"));
        assert_eq!((nodes.names(first), nodes.names(second)), (vec![(root, "b".into())], vec![(root, "a".into())]));
        nodes.rename(&name("b"), name("a"));
        assert_eq!((nodes.names(first), nodes.names(second)), (vec![(root, "a".into())], vec![]));
        nodes.forget(first, 1);
        nodes.forget(second, 1);
        assert_eq!(nodes.len(), 1);
    }
}
