//! Directories and files that the daemon puts into the tree: `/policy`, `/tools`, `/ipc`, `status`.
//!
//! Nothing here can be changed from the mount. An item keeps its number for as long as the tree lives, also while it is
//! withdrawn, so a path that comes back is the same file.

use crate::attributes::{Attributes, Time};
use crate::nodes::NodeId;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// Numbers of items are below this one.
pub(crate) const FIRST_STORED: u64 = 1 << 32;
/// The root of a tree (FUSE_ROOT_ID).
pub(crate) const ROOT: NodeId = NodeId(1);
/// Where files may be published, besides `status`.
const DIRECTORIES: [&str; 3] = ["policy", "tools", "ipc"];
/// The last number of a directory that is always there, or never: the root, these, `mem`, and the place in it for a mount.
pub(crate) const FIXED: u64 = DIRECTORIES.len() as u64 + 3;
/// Components of a published path.
const DEEPEST: usize = 4;

#[derive(Debug)]
enum Content {
    Directory(BTreeMap<OsString, NodeId>),
    File { bytes: Arc<[u8]>, mode: u16 },
    Withdrawn,
}

#[derive(Debug)]
struct Item {
    parent: NodeId,
    name: OsString,
    content: Content,
    changed: Time,
}

/// All items.
#[derive(Debug)]
pub(crate) struct Published {
    items: Vec<Item>,
}

impl Published {
    /// The directories that are always there.
    pub(crate) fn new(now: Time) -> Self {
        let root =
            Item { parent: ROOT, name: OsString::new(), content: Content::Directory(BTreeMap::new()), changed: now };
        let mut published = Self { items: vec![root] };
        for name in DIRECTORIES {
            published.child(ROOT, OsStr::new(name), now);
        }
        published
    }

    fn item(&self, id: NodeId) -> Result<&Item, Errno> {
        let index = usize::try_from(id.0).ok().and_then(|number| number.checked_sub(1));
        index.and_then(|index| self.items.get(index)).ok_or(Errno::STALE)
    }

    fn item_mut(&mut self, id: NodeId) -> Option<&mut Item> {
        self.items.get_mut(usize::try_from(id.0).ok()?.checked_sub(1)?)
    }

    /// Makes or finds the item `name` within a directory, and lists it there; a new one is a directory.
    pub(crate) fn child(&mut self, parent: NodeId, name: &OsStr, now: Time) -> NodeId {
        let id = self.reserve(parent, name, now);
        self.attach(parent, name, id, now);
        id
    }

    /// The same without listing it.
    pub(crate) fn reserve(&mut self, parent: NodeId, name: &OsStr, now: Time) -> NodeId {
        let known = self.items.iter().position(|item| item.parent == parent && item.name == name);
        let index = known.unwrap_or(self.items.len());
        let id = NodeId(index as u64 + 1);
        if known.is_none() {
            let content = Content::Directory(BTreeMap::new());
            self.items.push(Item { parent, name: name.to_owned(), content, changed: now });
        }
        id
    }

    /// Lists `id`, an item or the root of an area, in a directory.
    pub(crate) fn attach(&mut self, parent: NodeId, name: &OsStr, id: NodeId, now: Time) {
        if let Some(item) = self.item_mut(parent)
            && let Content::Directory(entries) = &mut item.content
            && entries.insert(name.to_owned(), id).is_none()
        {
            item.changed = now;
        }
    }

    /// Puts a file at `path` and returns its directory and itself.
    ///
    /// # Errors
    /// EINVAL for a path outside of what may be published, EISDIR and ENOTDIR where something else stands.
    pub(crate) fn publish(&mut self, path: &str, mode: u16, bytes: Arc<[u8]>, now: Time) -> Result<NodeId, Errno> {
        let (parent, name) = self.split(path, now)?;
        let id = self.child(parent, OsStr::new(name), now);
        let item = self.item_mut(id).ok_or(Errno::STALE)?;
        match &item.content {
            Content::Directory(entries) if !entries.is_empty() => return Err(Errno::ISDIR),
            _ => item.content = Content::File { bytes, mode: mode & 0o555 },
        }
        item.changed = now;
        Ok(id)
    }

    /// Takes a file away and returns its directory and itself.
    ///
    /// # Errors
    /// ENOENT when there is none, and as [`Self::publish`].
    pub(crate) fn withdraw(&mut self, path: &str, now: Time) -> Result<(NodeId, NodeId, OsString), Errno> {
        let (parent, name) = self.split(path, now)?;
        let name = OsString::from(name);
        let id = self.lookup(parent, &name)?;
        let item = self.item_mut(id).ok_or(Errno::NOENT)?;
        if matches!(item.content, Content::Directory(_)) {
            return Err(Errno::ISDIR);
        }
        item.content = Content::Withdrawn;
        if let Some(directory) = self.item_mut(parent) {
            directory.changed = now;
            if let Content::Directory(entries) = &mut directory.content {
                entries.remove(&name);
            }
        }
        Ok((parent, id, name))
    }

    fn split<'a>(&mut self, path: &'a str, now: Time) -> Result<(NodeId, &'a str), Errno> {
        let parts: Vec<&str> = path.split('/').collect();
        let odd = |part: &&str| part.is_empty() || *part == "." || *part == ".." || part.len() > 255;
        let allowed = path == "status" || (parts.len() > 1 && parts.first().is_some_and(|p| DIRECTORIES.contains(p)));
        if !allowed || parts.len() > DEEPEST || parts.iter().any(odd) {
            return Err(Errno::INVAL);
        }
        let (name, directories) = parts.split_last().ok_or(Errno::INVAL)?;
        let mut parent = ROOT;
        for part in directories {
            parent = self.child(parent, OsStr::new(part), now);
            if !matches!(self.item(parent)?.content, Content::Directory(_)) {
                return Err(Errno::NOTDIR);
            }
        }
        Ok((parent, name))
    }

    pub(crate) fn lookup(&self, parent: NodeId, name: &OsStr) -> Result<NodeId, Errno> {
        match &self.item(parent)?.content {
            Content::Directory(entries) => entries.get(name).copied().ok_or(Errno::NOENT),
            Content::File { .. } | Content::Withdrawn => Err(Errno::NOTDIR),
        }
    }

    pub(crate) fn parent(&self, id: NodeId) -> Result<NodeId, Errno> {
        Ok(self.item(id)?.parent)
    }

    pub(crate) fn attributes(&self, id: NodeId) -> Result<Attributes, Errno> {
        let item = self.item(id)?;
        let (file_type, mode, links, size) = match &item.content {
            Content::Directory(_) => (FileType::Directory, 0o555, 2, 0),
            Content::File { bytes, mode } => (FileType::RegularFile, *mode, 1, bytes.len() as u64),
            Content::Withdrawn => (FileType::RegularFile, 0o444, 0, 0),
        };
        Ok(Attributes {
            ino: id.0,
            file_type,
            mode,
            links,
            size,
            blocks: size.div_ceil(512),
            accessed: item.changed,
            modified: item.changed,
            changed: item.changed,
        })
    }

    /// What a file holds now.
    pub(crate) fn bytes(&self, id: NodeId) -> Result<Arc<[u8]>, Errno> {
        match &self.item(id)?.content {
            Content::File { bytes, .. } => Ok(Arc::clone(bytes)),
            Content::Withdrawn => Ok(Arc::from([])),
            Content::Directory(_) => Err(Errno::ISDIR),
        }
    }

    /// The entries of a directory, in the order of their names.
    pub(crate) fn entries(&self, id: NodeId) -> Result<Vec<(OsString, NodeId)>, Errno> {
        match &self.item(id)?.content {
            Content::Directory(entries) => Ok(entries.iter().map(|(name, id)| (name.clone(), *id)).collect()),
            Content::File { .. } | Content::Withdrawn => Err(Errno::NOTDIR),
        }
    }
}

/// Whether `name` can be a directory entry; the kernel asks for no other.
pub(crate) fn is_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty() && bytes.len() <= 255 && bytes != b"." && bytes != b".." && !bytes.contains(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> Published {
        Published::new(Time::default())
    }

    #[test]
    fn files_are_put_only_where_the_daemon_owns_the_tree() {
        let mut tree = published();
        for path in ["", "mem/working/x", "policy", "policy/", "policy/../x", "x", "tools//x", "policy/a/b/c/d"] {
            let answer = tree.publish(path, 0o444, Arc::from([]), Time::default());
            assert_eq!(answer, Err(Errno::INVAL), "{path}");
        }
        assert!(tree.publish("policy/sources/base.yaml", 0o644, Arc::from(*b"x"), Time::default()).is_ok());
        assert_eq!(tree.publish("policy/sources", 0o444, Arc::from([]), Time::default()), Err(Errno::ISDIR));
    }

    #[test]
    fn a_path_that_comes_back_is_the_same_file() {
        let mut tree = published();
        let id = tree.publish("policy/digest", 0o444, Arc::from(*b"one"), Time::default()).expect("published");
        let (parent, gone, name) = tree.withdraw("policy/digest", Time::default()).expect("withdrawn");
        assert_eq!((gone, tree.lookup(parent, &name)), (id, Err(Errno::NOENT)));
        assert_eq!(tree.attributes(id).expect("known").links, 0);
        assert_eq!(tree.publish("policy/digest", 0o444, Arc::from(*b"two"), Time::default()), Ok(id));
        assert_eq!(&*tree.bytes(id).expect("a file"), b"two");
    }
}
