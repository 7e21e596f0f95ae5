//! What agents share: one file system for each store in use, which every agent that names it has mounted.
//!
//! ```text
//!   RUN/shared/STORE                             one FUSE mount; root alone reaches it
//!     mem/semantic ── idmapped, by the stage ──► /mem/semantic in the agent
//!                  ── read-only ───────────────► RUN/agents/AGENT/mem/semantic
//! ```
//! One, because the kernel's caches, locks and watches belong to a file system: what one agent does there is done for the
//! others at once. It is made for the first agent that needs it and ends with the last.

use super::server::PATIENCE;
use super::stores::Stores;
use super::{MemoryError, Shared, mounts};
use crate::caller::Caller;
use crate::journal;
use policies::StoreName;
use protocol::error::ControlError;
use protocol::vfs::{MountId, Order, Purpose, Quota, Quotas, Serve};
use rustix::io::fcntl_dupfd_cloexec;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Mutex as Turn;

/// What the names of their mounts begin with; no agent's name has a slash.
const PREFIX: &str = "shared/";

/// What an agent is to have in place of a semantic memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sharing {
    /// Which store.
    pub(crate) store: StoreName,
    /// How much it may hold, which all of its agents agree on.
    pub(crate) quota: Quota,
}

/// Where a shared store stands in the daemon's run directory, beneath [`super::SHARED`].
pub(super) fn part_of(mounts: &Path, store: &StoreName) -> PathBuf {
    mounts.join(store.as_str()).join("mem/semantic")
}

/// What the file system of a shared store is called.
pub(super) fn mount_of(store: &StoreName) -> MountId {
    MountId(format!("{PREFIX}{store}"))
}

/// Those in use.
#[derive(Debug)]
pub(super) struct Shares {
    stores: Stores,
    mounts: PathBuf,
    known: Mutex<HashMap<StoreName, Weak<Turn<Use>>>>,
}

/// Who uses a store, and how it is served.
#[derive(Debug, Default)]
struct Use {
    agents: usize,
    served: Option<Served>,
}

#[derive(Debug)]
struct Served {
    serve: Serve,
    store: OwnedFd,
    /// The link over which it is served; `None` before it is, 0 when an earlier daemon had it served.
    number: Option<u64>,
}

/// One agent's part in it, to be given back with [`Shared::leave`].
#[derive(Debug)]
pub(super) struct Share {
    path: PathBuf,
    part: PathBuf,
    used: Arc<Turn<Use>>,
}

impl Share {
    /// What is mounted in the agents.
    pub(super) fn part(&self) -> &Path {
        &self.part
    }
}

impl Shares {
    pub(super) fn new(stores: Stores, mounts: PathBuf) -> Self {
        Self { stores, mounts, known: Mutex::default() }
    }

    fn share(&self, store: &StoreName) -> Share {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, used| used.strong_count() > 0);
        let used = known.get(store).and_then(Weak::upgrade).unwrap_or_default();
        known.insert(store.clone(), Arc::downgrade(&used));
        Share { path: self.mounts.join(store.as_str()), part: part_of(&self.mounts, store), used }
    }

    /// Takes its directory away. No agent lives any more.
    pub(super) fn close(&self) -> Result<(), MemoryError> {
        self.stores.close();
        let fail = |source| MemoryError::Io { attempt: "remove", path: self.mounts.clone(), source };
        std::fs::remove_dir(&self.mounts).map_err(fail)
    }
}

impl Shared {
    /// Takes part in a store, which is served from now on if it was not.
    pub(super) async fn join(&self, sharing: &Sharing, who: (&Caller, u32)) -> Result<Share, ControlError> {
        self.take_part(sharing, who, None).await
    }

    /// The same for an agent that has its part already: an earlier daemon had the store served.
    pub(super) async fn retake(&self, sharing: &Sharing, who: (&Caller, u32)) -> Result<Share, ControlError> {
        self.take_part(sharing, who, Some(0)).await
    }

    async fn take_part(
        &self,
        sharing: &Sharing,
        (caller, server): (&Caller, u32),
        number: Option<u64>,
    ) -> Result<Share, ControlError> {
        let share = self.shares.share(&sharing.store);
        let waited = tokio::time::timeout(PATIENCE, share.used.lock()).await;
        let mut used = waited.map_err(|_| MemoryError::ShareBusy.not_started())?;
        let store = tokio::task::block_in_place(|| self.shares.stores.of_agents(&sharing.store, caller))?;
        let quotas = Quotas { semantic: Some(sharing.quota), ..Quotas::default() };
        match &used.served {
            Some(served) if served.serve.quotas != quotas => {
                return Err(ControlError::BadPolicy { message: disagreement(sharing, &served.serve.quotas) });
            }
            Some(_) => {}
            None => {
                let mount = mount_of(&sharing.store);
                let (uid, gid) = (server, server);
                let serve = Serve { mount, purpose: Purpose::Shared, uid, gid, quotas, shared_semantic: false };
                used.served = Some(Served { serve, store, number });
            }
        }
        if let Err(error) = self.keep(&share.path, &mut used).await {
            self.end_unused(&share.path, &mut used).await;
            return Err(error.not_started());
        }
        used.agents += 1;
        drop(used);
        Ok(share)
    }

    /// Has it served by the present server, and tells over which link.
    pub(super) async fn rejoin(&self, share: &Share) -> Result<u64, MemoryError> {
        let waited = tokio::time::timeout(PATIENCE * 2, share.used.lock()).await;
        let mut used = waited.map_err(|_| MemoryError::ShareBusy)?;
        self.keep(&share.path, &mut used).await
    }

    /// Gives it back. The agent and its mounts are gone.
    pub(super) async fn leave(&self, share: Share) {
        let mut used = share.used.lock().await;
        used.agents = used.agents.saturating_sub(1);
        self.end_unused(&share.path, &mut used).await;
    }

    /// Serves what is not served, or was by a server that is lost: the first agent that notices does it for all.
    async fn keep(&self, path: &Path, used: &mut Use) -> Result<u64, MemoryError> {
        let served = used.served.as_mut().ok_or(MemoryError::Gone)?;
        let current = self.client.link().borrow().clone();
        if let Some(number) = served.number.filter(|number| !current.lost(*number, &served.serve.mount)) {
            return Ok(number);
        }
        self.client.watch(&served.serve.mount);
        let fuse = tokio::task::block_in_place(|| mounts::unmount_all(path).and_then(|()| mounts::fuse()))?;
        let store = fcntl_dupfd_cloexec(&served.store, 0).map_err(MemoryError::of("hold the files of", path))?;
        let order = (Order::Serve(served.serve.clone()), vec![fuse.device, store]);
        let number = self.client.order(vec![order]).await?;
        served.number = Some(number);
        tokio::task::block_in_place(|| mounts::place(&fuse.root, path))?;
        Ok(number)
    }

    async fn end_unused(&self, path: &Path, used: &mut Use) {
        if used.agents > 0 {
            return;
        }
        let served = used.served.take().map(|served| served.serve.mount);
        if let Some(mount) = &served {
            self.client.unwatch(mount);
        }
        if let Err(error) = tokio::task::block_in_place(|| mounts::remove(path)) {
            journal::error(format_args!("{}", journal::sentence(&error)));
        }
        if let Some(mount) = served {
            self.end(mount).await;
        }
    }
}

fn disagreement(sharing: &Sharing, now: &Quotas) -> String {
    let bound = |quota: Quota| format!("{} bytes and {} files", quota.bytes, quota.inodes);
    format!(
        "the shared store {} is in use with room for {}, and this policy says {}; give all policies that name it the same memory.semantic and memory.inodes, or end the other agents first",
        sharing.store,
        now.semantic.map(bound).unwrap_or_default(),
        bound(sharing.quota)
    )
}
