//! Promise: the tree behaves as POSIX has it, within its rules: random operations against a reference model.

mod reference;

use fuse_vfs::area::{Area, Caller, Purpose};
use fuse_vfs::quota::Account;
use fuse_vfs::tree::{Access, Changes, NewFile, Part, Tree};
use proptest::prelude::*;
use protocol::vfs::Quota;
use reference::{Model, Operation, Outcome};
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::Path;

const LIMIT: Quota = Quota { bytes: 30 * 4096, inodes: 12 };
const BOTH: Access = Access { read: true, write: true, sync: false };

/// A tree on a directory of its own, asked as the kernel asks: by looked-up names, each forgotten again.
struct Subject {
    tree: Tree,
    area: Area,
    looked_up: Vec<fuse_vfs::NodeId>,
    held: Vec<(fuse_vfs::NodeId, fuse_vfs::tree::Handle)>,
    _directory: tempfile::TempDir,
}

fn part(path: &Path, area: Area, used: Quota) -> Part {
    let directory: OwnedFd = std::fs::File::open(path).expect("a directory").into();
    Part { area, directory, account: Account::on_disk(LIMIT, used) }
}

impl Subject {
    fn new(area: Area) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let nothing = Quota { bytes: 0, inodes: 0 };
        let tree = Tree::new(Purpose::Agent, vec![part(directory.path(), area, nothing)]).expect("a tree");
        Self { tree, area, looked_up: Vec::new(), held: Vec::new(), _directory: directory }
    }

    /// Walks to the directory of `path`.
    fn parent(&mut self, path: &[OsString]) -> Result<fuse_vfs::NodeId, Errno> {
        let mut at = self.tree.area_root(self.area).expect("the area's root");
        for name in &path[..path.len() - 1] {
            at = self.lookup(at, name)?;
        }
        self.must_be_directory(at)?;
        Ok(at)
    }

    fn lookup(&mut self, parent: fuse_vfs::NodeId, name: &OsStr) -> Result<fuse_vfs::NodeId, Errno> {
        // The kernel looks nothing up in what is no directory.
        let attributes = self.tree.attributes(parent)?;
        if attributes.file_type != rustix::fs::FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        let entry = self.tree.lookup(parent, name)?;
        self.looked_up.push(entry.node);
        Ok(entry.node)
    }

    fn resolve(&mut self, path: &[OsString]) -> Result<fuse_vfs::NodeId, Errno> {
        let parent = self.parent(path)?;
        self.lookup(parent, &path[path.len() - 1])
    }

    fn apply(&mut self, operation: &Operation) -> Outcome {
        let outcome = self.attempt(operation);
        for node in std::mem::take(&mut self.looked_up) {
            self.tree.forget(node, 1);
        }
        outcome
    }

    fn attempt(&mut self, operation: &Operation) -> Outcome {
        const WHO: Caller = Caller::Agent;
        match operation {
            Operation::Create(path) => {
                let (parent, name) = (self.parent(path)?, &path[path.len() - 1]);
                let (entry, opened) = self.tree.create(WHO, (parent, name), 0o640, BOTH)?;
                self.looked_up.push(entry.node);
                self.tree.release(opened.handle);
            }
            Operation::Mkdir(path) => self.make(path, NewFile::Directory(0o700))?,
            Operation::Symlink(path) => self.make(path, NewFile::Symlink(OsStr::new("../elsewhere")))?,
            Operation::Write { path, offset, length, byte, append } => {
                let node = self.resolve(path)?;
                let opened = self.tree.open(WHO, node, BOTH)?;
                // As the kernel does for O_APPEND.
                let size = self.tree.attributes(node)?.size;
                let offset = if *append { size } else { *offset };
                let data = vec![*byte; *length];
                let written = self.tree.write(WHO, opened.handle, offset, &data);
                self.tree.release(opened.handle);
                return Ok(written?.to_string().into_bytes());
            }
            Operation::Read(path) => {
                let node = self.resolve(path)?;
                let opened = self.tree.open(WHO, node, BOTH)?;
                let data = self.tree.read(opened.handle, 0, 1 << 20);
                self.tree.release(opened.handle);
                return data;
            }
            Operation::Truncate(path, size) => {
                let node = self.resolve(path)?;
                let changes = Changes { size: Some(*size), ..Changes::default() };
                self.tree.change(WHO, node, changes)?;
            }
            Operation::Unlink(path) => {
                let (parent, name) = (self.parent(path)?, &path[path.len() - 1]);
                self.look(parent, name);
                self.tree.unlink(WHO, parent, name)?;
            }
            Operation::Rmdir(path) => {
                let (parent, name) = (self.parent(path)?, &path[path.len() - 1]);
                self.look(parent, name);
                self.tree.remove_directory(WHO, parent, name)?;
            }
            Operation::Rename(from, to, exchange) => {
                let (old, new) = (self.parent(from)?, self.parent(to)?);
                let flags = if *exchange { RenameFlags::EXCHANGE } else { RenameFlags::empty() };
                let (name, new_name) = (&from[from.len() - 1], &to[to.len() - 1]);
                self.look(old, name);
                self.look(new, new_name);
                self.tree.rename(WHO, (old, name), (new, new_name), flags)?;
            }
            Operation::Link(from, to) => {
                let node = self.resolve(from)?;
                let parent = self.parent(to)?;
                let entry = self.tree.link(WHO, node, parent, &to[to.len() - 1])?;
                self.looked_up.push(entry.node);
            }
            Operation::Hold(path) => {
                let node = self.resolve(path)?;
                let opened = self.tree.open(WHO, node, BOTH)?;
                // The kernel forgets no file that is open.
                self.looked_up.pop();
                self.held.push((node, opened.handle));
            }
            Operation::Release => self.release(),
        }
        Ok(Vec::new())
    }

    /// The kernel looks at what it is about to take away, if it is there.
    fn look(&mut self, parent: fuse_vfs::NodeId, name: &OsStr) {
        if let Ok(entry) = self.tree.lookup(parent, name) {
            self.looked_up.push(entry.node);
        }
    }

    fn release(&mut self) {
        for (node, handle) in std::mem::take(&mut self.held) {
            self.tree.release(handle);
            self.tree.forget(node, 1);
        }
    }

    fn make(&mut self, path: &[OsString], what: NewFile<'_>) -> Result<(), Errno> {
        let (parent, name) = (self.parent(path)?, &path[path.len() - 1]);
        let entry = self.tree.make(Caller::Agent, parent, name, what)?;
        self.looked_up.push(entry.node);
        Ok(())
    }

    fn must_be_directory(&mut self, node: fuse_vfs::NodeId) -> Result<(), Errno> {
        let is = self.tree.attributes(node)?.file_type == rustix::fs::FileType::Directory;
        if is { Ok(()) } else { Err(Errno::NOTDIR) }
    }

    /// Every name, its kind and its content, as a listing of the tree tells them.
    fn snapshot(&mut self) -> Vec<(String, Vec<u8>)> {
        let root = self.tree.area_root(self.area).expect("the area's root");
        let mut found = Vec::new();
        let mut open = vec![(String::new(), root)];
        while let Some((path, node)) = open.pop() {
            for name in self.names(node) {
                let entry = self.tree.lookup(node, &name).expect("a listed name");
                self.looked_up.push(entry.node);
                let path = format!("{path}/{}", name.to_string_lossy());
                let content = match entry.attributes.file_type {
                    rustix::fs::FileType::Directory => {
                        open.push((path.clone(), entry.node));
                        b"directory".to_vec()
                    }
                    rustix::fs::FileType::Symlink => b"link".to_vec(),
                    _ => self.content(entry.node),
                };
                found.push((path, content));
            }
        }
        for node in std::mem::take(&mut self.looked_up) {
            self.tree.forget(node, 1);
        }
        found.sort();
        found
    }

    fn names(&mut self, node: fuse_vfs::NodeId) -> Vec<OsString> {
        let handle = self.tree.open_directory(Caller::Agent, node).expect("a directory");
        let mut names = Vec::new();
        self.tree
            .list(handle, 0, |entry| {
                names.push(entry.name.to_owned());
                true
            })
            .expect("a listing");
        self.tree.release(handle);
        names.retain(|name| name != "." && name != "..");
        names
    }

    fn content(&mut self, node: fuse_vfs::NodeId) -> Vec<u8> {
        let access = Access { write: false, ..BOTH };
        let opened = self.tree.open(Caller::Agent, node, access).expect("a file");
        let content = self.tree.read(opened.handle, 0, 1 << 20).expect("its content");
        self.tree.release(opened.handle);
        content
    }
}

fn compare(area: Area, operations: &[Operation]) -> Result<(), TestCaseError> {
    let mut subject = Subject::new(area);
    let mut model = Model::new(area == Area::Episodic, LIMIT);
    for (index, operation) in operations.iter().enumerate() {
        let (expected, seen) = (model.apply(operation), subject.apply(operation));
        prop_assert_eq!(&seen, &expected, "operation {} of {:?}", index, operations);
    }
    prop_assert_eq!(subject.snapshot(), model.snapshot());
    let used = |subject: &Subject| subject.tree.account(area).expect("an account").used();
    prop_assert_eq!(used(&subject), model.used(), "with what is held");
    subject.release();
    model.apply(&Operation::Release).expect("released");
    prop_assert_eq!(subject.tree.known(), 1, "only the area's root is still known");
    let used = used(&subject);
    prop_assert_eq!(used, model.used());
    // What is counted on the way is what a count from nothing finds.
    let nothing = Quota { bytes: 0, inodes: 0 };
    let path = subject._directory.path();
    let mut again = Tree::new(Purpose::Agent, vec![part(path, area, nothing)]).expect("a tree");
    prop_assert_eq!(again.count(area).expect("counted").used(), used);
    prop_assert_eq!(again.known(), 1);
    Ok(())
}

/// MODEL_CASES=20000 for longer.
fn cases() -> u32 {
    std::env::var("MODEL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn a_mutable_area_is_as_the_reference(operations in proptest::collection::vec(reference::operation(), 1..60)) {
        compare(Area::Semantic, &operations)?;
    }

    #[test]
    fn an_append_only_area_is_as_the_reference(operations in proptest::collection::vec(reference::operation(), 1..60)) {
        compare(Area::Episodic, &operations)?;
    }
}
