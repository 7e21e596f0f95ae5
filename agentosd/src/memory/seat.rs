//! One agent's files, from its launch to its end.

use super::names::Hold;
use super::published::Published;
use super::server::{Link, PATIENCE};
use super::shares::{Share, Sharing, mount_of};
use super::stores::Found;
use super::{Blank, Memory, MemoryError, mounts};
use crate::caller::Caller;
use crate::journal;
use protocol::error::ControlError;
use protocol::ids::{AgentId, AgentName};
use protocol::vfs::{MountId, Order, Purpose, Quotas, Serve};
use rustix::io::fcntl_dupfd_cloexec;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex as Turn, watch};

/// What an agent is to have.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Its name, to which the memory belongs.
    pub(crate) name: AgentName,
    /// This run of it.
    pub(crate) id: AgentId,
    /// Who asked.
    pub(crate) caller: Caller,
    /// The agent's user.
    pub(crate) uid: u32,
    /// How much of its own.
    pub(crate) quotas: Quotas,
    /// What it has together with others.
    pub(crate) sharing: Option<Sharing>,
    /// What it can read there from the beginning.
    pub(crate) published: Vec<Published>,
}

/// What it has.
#[derive(Debug)]
pub(crate) struct Seat {
    memory: Memory,
    name: AgentName,
    /// The name remembered nothing before.
    is_new: bool,
    serve: Serve,
    path: PathBuf,
    store: OwnedFd,
    /// Held so that what is in `/mem/working` outlives the server.
    working: Option<Arc<OwnedFd>>,
    published: Vec<Published>,
    share: Turn<Option<Share>>,
    /// The mount of the share.
    shared: Option<MountId>,
    /// The link over which it is served.
    number: AtomicU64,
    /// The same for the share.
    shared_number: AtomicU64,
    _name: Hold,
}

/// What is not served any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The agent's own files, and with them the place of those that it shares.
    Own,
    /// Only what it shares.
    Shared,
}

/// What the file system of an agent is called.
pub(super) fn mount_of_agent(name: &AgentName, id: AgentId) -> MountId {
    MountId(format!("{name}:{id}"))
}

impl Seat {
    /// Makes it, mounted and served.
    pub(crate) async fn take(memory: &Memory, wanted: Wanted) -> Result<Self, ControlError> {
        let shared = &memory.0;
        let name = shared.names.hold(&wanted.name).await.map_err(MemoryError::not_started)?;
        let made = tokio::task::block_in_place(|| {
            let store = shared.stores.of_agent(&wanted.name, &wanted.caller)?;
            let blank = shared.blank_for(wanted.quotas.working).map_err(MemoryError::not_started)?;
            Ok((store, blank))
        });
        let (store, Blank { fuse, working }) = made?;
        let Found { files: store, is_new } = store;
        let joined = match &wanted.sharing {
            Some(sharing) => shared.join(sharing, (&wanted.caller, shared.server)).await.map(Some),
            None => Ok(None),
        };
        let share = match joined {
            Ok(share) => share,
            Err(error) => {
                shared.forget_new(&wanted.name, is_new);
                return Err(error);
            }
        };
        let seat = Self::new(memory, wanted, (store, is_new), (working, share, name));
        match seat.mount(fuse).await {
            Ok(()) => Ok(seat),
            Err(error) => {
                seat.clear().await;
                seat.forget_new();
                Err(error.not_started())
            }
        }
    }

    /// That of an agent that runs, mounted and served as an earlier daemon has left it. What is lost of it is noticed as at
    /// any other time.
    pub(crate) async fn retake(
        memory: &Memory,
        wanted: Wanted,
        working: Option<OwnedFd>,
    ) -> Result<Self, ControlError> {
        let shared = &memory.0;
        let name = shared.names.hold(&wanted.name).await.map_err(MemoryError::not_started)?;
        // On this thread: nobody is served yet who would wait for it, and a thousand change threads for nothing.
        let Found { files: store, .. } = shared.stores.of_agent(&wanted.name, &wanted.caller)?;
        let share = match &wanted.sharing {
            Some(sharing) => Some(shared.retake(sharing, (&wanted.caller, shared.server)).await?),
            None => None,
        };
        Ok(Self::new(memory, wanted, (store, false), (working, share, name)))
    }

    fn new(
        memory: &Memory,
        wanted: Wanted,
        (store, is_new): (OwnedFd, bool),
        (working, share, name): (Option<OwnedFd>, Option<Share>, Hold),
    ) -> Self {
        let shared = &memory.0;
        let mount = mount_of_agent(&wanted.name, wanted.id);
        let (uid, quotas) = (wanted.uid, wanted.quotas);
        Self {
            serve: Serve { mount, purpose: Purpose::Agent, uid, gid: uid, quotas, shared_semantic: share.is_some() },
            path: shared.mounts.join(wanted.name.as_str()),
            memory: memory.clone(),
            name: wanted.name.clone(),
            is_new,
            store,
            working: working.map(|working| shared.workings.add(&wanted.name, working)),
            published: wanted.published,
            shared: share.is_some().then_some(wanted.sharing).flatten().map(|sharing| mount_of(&sharing.store)),
            share: Turn::new(share),
            number: AtomicU64::new(0),
            shared_number: AtomicU64::new(0),
            _name: name,
        }
    }

    /// A copy of what holds `/mem/working`.
    pub(crate) fn working(&self) -> std::io::Result<Option<OwnedFd>> {
        self.working.as_deref().map(OwnedFd::try_clone).transpose()
    }

    /// Serves a mount and puts it at its place. The one does not wait for the other.
    async fn mount(&self, fuse: mounts::Fuse) -> Result<(), MemoryError> {
        let mount = &self.serve.mount;
        self.memory.0.client.watch(mount);
        let copy = |fd: &OwnedFd| fcntl_dupfd_cloexec(fd, 0).map_err(MemoryError::of("hold the files of", &self.path));
        let mut fds = vec![fuse.device, copy(&self.store)?];
        fds.extend(self.working.as_deref().map(copy).transpose()?);
        let mut orders = vec![(Order::Serve(self.serve.clone()), fds)];
        for file in &self.published {
            orders.push(file.order(mount)?);
        }
        let place = async { tokio::task::block_in_place(|| mounts::place(&fuse.root, &self.path)) };
        let (served, placed) = tokio::join!(self.memory.0.client.order(orders), place);
        placed?;
        self.number.store(served?, Ordering::Release);
        self.mount_shared().await
    }

    /// Shows what is shared in the mount on the host, in place of what was shown there.
    async fn mount_shared(&self) -> Result<(), MemoryError> {
        let share = self.share.lock().await;
        let Some(share) = &*share else { return Ok(()) };
        self.shared_number.store(self.memory.0.rejoin(share).await?, Ordering::Release);
        let (source, path) = (share.part().to_owned(), self.path.join("mem/semantic"));
        // On a thread of its own, which waits until the server has counted what a crash left uncounted.
        let shown = tokio::task::spawn_blocking(move || {
            mounts::unmount_all(&path)?;
            mounts::show(&source, &path)
        });
        match tokio::time::timeout(PATIENCE, shown).await {
            Ok(shown) => shown.map_err(|_| MemoryError::Gone)?,
            Err(_) => Err(MemoryError::Silent),
        }
    }

    /// A new mount in place of a dead one, with the same files. What was published later is to be published again.
    pub(crate) async fn remount(&self, lost: Lost) -> Result<(), MemoryError> {
        if lost == Lost::Shared {
            return self.mount_shared().await;
        }
        let fuse = tokio::task::block_in_place(|| mounts::unmount_all(&self.path).and_then(|()| mounts::fuse()))?;
        self.mount(fuse).await
    }

    /// To be told of another server.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.memory.0.client.link()
    }

    /// What `link` tells to be lost.
    pub(crate) fn loss(&self, link: &Link) -> Option<Lost> {
        let lost = |mount, number: &AtomicU64| link.lost(number.load(Ordering::Acquire), mount);
        if lost(&self.serve.mount, &self.number) {
            return Some(Lost::Own);
        }
        self.shared.as_ref().filter(|shared| lost(shared, &self.shared_number)).map(|_| Lost::Shared)
    }

    /// From now on only what is lost after this counts.
    pub(crate) fn acknowledge(&self, link: &Link) {
        self.number.store(link.number(), Ordering::Release);
        self.shared_number.store(link.number(), Ordering::Release);
    }

    /// Puts files into the tree, or replaces them.
    pub(crate) async fn publish(&self, files: &[Published]) -> Result<(), MemoryError> {
        let orders = files.iter().map(|file| file.order(&self.serve.mount)).collect::<Result<_, _>>()?;
        self.memory.0.client.order(orders).await.map(drop)
    }

    /// After [`Self::clear`], when no program of the agent ever ran: a name that nobody had used is free again.
    pub(crate) fn forget_new(&self) {
        self.memory.0.forget_new(&self.name, self.is_new);
    }

    /// Takes it away. Nothing of the agent lives any more.
    pub(crate) async fn clear(&self) {
        self.memory.0.client.unwatch(&self.serve.mount);
        if let Err(error) = tokio::task::block_in_place(|| mounts::remove(&self.path)) {
            journal::error(format_args!("{}", journal::sentence(&error)));
        }
        self.memory.0.end(self.serve.mount.clone()).await;
        if let Some(share) = self.share.lock().await.take() {
            self.memory.0.leave(share).await;
        }
    }
}
