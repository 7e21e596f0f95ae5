//! Memories as the daemon opens them: they last as long as the connection.

use super::path::TreePath;
use super::tree::{self, Tree};
use crate::client::Client;
use crate::failure::Failure;
use protocol::control::{FinishRestore, ListMemories, OpenMemory, RestoreMemory};
use protocol::ids::AgentName;
use protocol::memory::{Memory, Part};
use rustix::io::Errno;
use std::path::Path;

/// All that the caller may know of, or only the named one.
pub(crate) fn memories(client: &mut Client, name: Option<AgentName>) -> Result<Vec<Memory>, Failure> {
    let mut memories = Vec::new();
    client.each(&ListMemories { name }, |page| {
        memories.extend(page.memories);
        Ok(())
    })?;
    Ok(memories)
}

/// What a name remembers, to be read.
pub(crate) struct Opened {
    pub(crate) tree: Tree,
    _open: Client,
}

impl Opened {
    /// Opens it.
    pub(crate) fn new(socket: &Path, name: &AgentName) -> Result<Self, Failure> {
        let mut client = Client::connect(socket)?;
        let (_, root) = client.call_for_descriptor(&OpenMemory { name: name.clone() })?;
        Ok(Self { tree: Tree::new(root), _open: client })
    }

    /// The parts that outlive an agent; with `working` that too, when an agent has it.
    pub(crate) fn parts(&self, working: bool) -> Vec<Part> {
        if working { Part::ALL.to_vec() } else { Part::LASTING.to_vec() }
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> Result<bool, Failure> {
        for part in Part::LASTING {
            let path = TreePath::of_part(part);
            match self.tree.directory(&path).and_then(tree::names) {
                Ok(names) if names.is_empty() => {}
                Ok(_) => return Ok(false),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(unreadable(&path, error)),
            }
        }
        Ok(true)
    }
}

/// An empty tree that becomes what a name remembers.
pub(crate) struct Restoring {
    pub(crate) tree: Tree,
    /// What the name remembers so far.
    pub(crate) before: Option<Memory>,
    name: AgentName,
    restore: u64,
    client: Client,
}

impl Restoring {
    /// Begins; the name is ours until this is dropped.
    pub(crate) fn new(socket: &Path, name: &AgentName, owner: Option<u32>) -> Result<Self, Failure> {
        let mut client = Client::connect(socket)?;
        let (reply, root) = client.call_for_descriptor(&RestoreMemory { name: name.clone(), owner })?;
        let restore = reply.restore.unwrap_or_default();
        Ok(Self { tree: Tree::new(root), before: reply.memory, name: name.clone(), restore, client })
    }

    /// Puts the tree in its place.
    pub(crate) fn finish(self, socket: &Path) -> Result<(), Failure> {
        let Self { tree, name, restore, mut client, .. } = self;
        tree.sync().map_err(Failure::os("write the memory to disk"))?;
        // Nobody holds a file of it any more when it is taken over.
        drop(tree);
        Client::connect(socket)?.call(&FinishRestore { name, restore })?;
        client.receive::<RestoreMemory>().map(|_| ())
    }
}

/// The failure of reading a path.
pub(crate) fn unreadable(path: &TreePath, error: Errno) -> Failure {
    Failure::File { attempt: "read", path: path.in_agent(), source: error.into() }
}
