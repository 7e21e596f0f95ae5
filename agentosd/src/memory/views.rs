//! Trees for people: mounts that are attached to no path, whose root is given away as a descriptor.

use super::{Memory, MemoryError, Setup, mounts};
use crate::caller::Caller;
use protocol::ids::AgentName;
use protocol::vfs::{MountId, Order, Purpose, Quota, Quotas, Serve};
use rustix::io::fcntl_dupfd_cloexec;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What their names begin with; no agent's name has a slash.
const PREFIX: &str = "view/";
/// For parts that are there, and that nothing bounds. The difference to what is used says how much that is.
const WHOLE: Quota = Quota { bytes: 1 << 62, inodes: 1 << 62 };

/// A tree that is served until this is ended.
#[derive(Debug)]
pub(crate) struct View {
    memory: Memory,
    mount: MountId,
}

/// Numbers them, and says how much may be restored.
#[derive(Debug)]
pub(super) struct Views {
    made: AtomicU64,
    restored: Quotas,
}

impl Views {
    pub(super) fn new(setup: &Setup) -> Self {
        Self { made: AtomicU64::new(0), restored: Quotas { working: None, ..setup.restored } }
    }

    /// A name that no view has had, of an earlier daemon either.
    fn name(&self) -> MountId {
        MountId(format!("{PREFIX}{}/{}", std::process::id(), self.made.fetch_add(1, Ordering::Relaxed)))
    }

    /// Root may restore more than one agent may have.
    fn bounds(&self, caller: &Caller) -> Quotas {
        if caller.is_root() { whole() } else { self.restored }
    }
}

/// Whether a mount is a view; after the daemon's start it can only be an earlier daemon's.
pub(super) fn is_view(mount: &MountId) -> bool {
    mount.0.starts_with(PREFIX)
}

fn whole() -> Quotas {
    let quota = Some(WHOLE);
    Quotas { working: None, episodic: quota, semantic: quota, procedural: quota, state: quota }
}

impl Memory {
    /// What a name remembers, for reading, and what a living agent of that name has in `/mem/working`.
    pub(crate) async fn inspect(
        &self,
        name: &AgentName,
        files: OwnedFd,
        caller: &Caller,
    ) -> Result<(View, OwnedFd), MemoryError> {
        let working = self.0.workings.of(name);
        let copied = working.map(|working| fcntl_dupfd_cloexec(&*working, 0)).transpose();
        let working = copied.map_err(MemoryError::of("hold", Path::new("/mem/working")))?;
        let quotas = Quotas { working: working.as_ref().map(|_| WHOLE), ..whole() };
        let fds = [files].into_iter().chain(working).collect();
        self.view(Purpose::Inspect, quotas, fds, caller).await
    }

    /// An empty store, for writing.
    pub(super) async fn fill(&self, files: OwnedFd, caller: &Caller) -> Result<(View, OwnedFd), MemoryError> {
        self.view(Purpose::Restore, self.0.views.bounds(caller), vec![files], caller).await
    }

    async fn view(
        &self,
        purpose: Purpose,
        quotas: Quotas,
        fds: Vec<OwnedFd>,
        caller: &Caller,
    ) -> Result<(View, OwnedFd), MemoryError> {
        let fuse = tokio::task::block_in_place(mounts::fuse_for_holders)?;
        let mount = self.0.views.name();
        let (uid, gid) = (caller.uid, caller.gid);
        let serve = Serve { mount: mount.clone(), purpose, uid, gid, quotas, shared_semantic: false };
        let fds = [fuse.device].into_iter().chain(fds).collect();
        self.0.client.order(vec![(Order::Serve(serve), fds)]).await?;
        Ok((View { memory: self.clone(), mount }, fuse.root))
    }
}

impl View {
    /// Serves it no longer, whoever still has a descriptor of it.
    pub(crate) async fn end(self) {
        self.memory.0.end(self.mount).await;
    }
}
