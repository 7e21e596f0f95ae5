//! What agents remember: stores on disk, mounts on the host, and the process `agentos-vfs` that serves them.
//!
//! ```text
//!   launch ── Wanted ──► Seat ── Serve + [/dev/fuse, store, tmpfs], Publish… ──► agentos-vfs
//!                         │        mounted at RUN/agents/NAME, bound into the agent by its stage
//!   agentos-vfs dies, a mount ends ──► Link ──► the agent's task: stop, or Seat::remount
//!   end ──► Seat::clear: unmounted, End
//! ```
//! Nothing here waits for what an agent controls: mounts are made without asking their server, and every order has a
//! time after which it has failed.

mod client;
mod living;
mod mounts;
mod names;
mod process;
mod published;
mod removal;
mod restores;
mod seat;
mod server;
mod shares;
mod stores;
mod views;
mod workings;

pub(crate) use published::{Published, of_policy};
pub(crate) use restores::Restore;
pub(crate) use seat::{Lost, Seat, Wanted};
pub(crate) use server::Link;
pub(crate) use shares::Sharing;
pub(crate) use stores::Kept;
pub(crate) use views::View;

use crate::group::GroupId;
use crate::journal;
use mounts::Fuse;
use names::Names;
use policies::StoreName;
use process::Program;
use protocol::error::ControlError;
use protocol::ids::{AgentId, AgentName};
use protocol::vfs::{MountId, Order, Quota, Quotas};
use restores::{Held, Restores};
use rustix::io::Errno;
use server::Client;
use shares::Shares;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use stores::Stores;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use views::Views;
use workings::Workings;

/// The server's socket in the run directory.
const SOCKET: &str = "vfs.sock";
/// Where the mounts are in the run directory.
const AGENTS: &str = "agents";
/// Where those are that several agents have.
const SHARED: &str = "shared";
/// Most file systems that are made beforehand.
const MOST_BLANK: usize = 64;

/// What could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemoryError {
    /// A file or mount.
    #[error("cannot {attempt} {}", path.display())]
    Io { attempt: &'static str, path: PathBuf, source: io::Error },
    /// A store is somebody else's.
    #[error("{} belongs to uid {owner}, and agentos-vfs is {server}; chown -R {server}:{server} it, or set uid_range back", path.display())]
    Foreign { path: PathBuf, owner: u32, server: u32 },
    /// It ended at once.
    #[error("{} ended at once ({status}); its last words are in the daemon's own log", program.display())]
    Ended { program: PathBuf, status: ExitStatus },
    /// It did not answer.
    #[error("agentos-vfs did not answer within {} seconds", server::PATIENCE.as_secs())]
    Silent,
    /// It ended meanwhile.
    #[error("agentos-vfs ended before it answered")]
    Gone,
    /// It says why not.
    #[error("agentos-vfs failed to {reason}")]
    Refused { reason: String },
    /// It is another release.
    #[error("agentos-vfs speaks version {version}, and this agentosd {}", protocol::vfs::VERSION)]
    Version { version: u32 },
    /// An earlier agent of that name is not cleared away.
    #[error("its files are still in use, by an earlier agent of that name or by agentctl memory import")]
    NameBusy,
    /// Somebody else waits for the server.
    #[error("another agent waits for the same shared store")]
    ShareBusy,
}

impl MemoryError {
    fn of(attempt: &'static str, path: &Path) -> impl FnOnce(Errno) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { attempt, path, source: error.into() }
    }

    fn not_started(self) -> ControlError {
        ControlError::NotStarted { message: format!("it would have no memory: {}", journal::sentence(&self)) }
    }
}

/// Where and how.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The daemon's state directory.
    pub(crate) state: PathBuf,
    /// The daemon's run directory.
    pub(crate) run: PathBuf,
    /// Who may look at the mounts on the host, besides root.
    pub(crate) group: Option<GroupId>,
    /// The server's program.
    pub(crate) program: PathBuf,
    /// The user and group that it becomes.
    pub(crate) server: u32,
    /// The kernel passes reads and writes through.
    pub(crate) passthrough: bool,
    /// What most agents may have in `/mem/working`.
    pub(crate) working: Option<Quota>,
    /// What somebody who is not root may restore.
    pub(crate) restored: Quotas,
    /// Of agents that an earlier daemon has started, and that run.
    pub(crate) running: Vec<Running>,
}

/// Whose files are mounted and served already.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    /// Its name.
    pub(crate) name: AgentName,
    /// Its run.
    pub(crate) id: AgentId,
    /// What it has together with others.
    pub(crate) sharing: Option<Sharing>,
}

/// Every agent's memory. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    keeper: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
    stores: Stores,
    shares: Shares,
    names: Names,
    mounts: PathBuf,
    server: u32,
    usual: Option<Quota>,
    workings: Workings,
    views: Views,
    restores: Restores,
    blanks: Mutex<Vec<Blank>>,
}

/// File systems that no agent has yet.
#[derive(Debug)]
struct Blank {
    fuse: Fuse,
    working: Option<OwnedFd>,
}

/// Where on the host the semantic memory stands that several agents have.
pub(crate) fn shared_path_of(run: &Path, store: &StoreName) -> PathBuf {
    shares::part_of(&run.join(SHARED), store)
}

/// A directory for mounts, with nothing in it but what is kept.
fn directory(path: &Path, (mode, group): (u32, u32), kept: &BTreeSet<OsString>) -> Result<(), MemoryError> {
    let io = |attempt| move |source| MemoryError::Io { attempt, path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(io("create"))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io("set the mode of"))?;
    chown(path, Some(0), Some(group)).map_err(io("set the group of"))?;
    mounts::clear(path, kept)
}

/// Where an agent's files stand on the host.
pub(crate) fn path_of(run: &Path, name: &AgentName) -> PathBuf {
    run.join(AGENTS).join(name.as_str())
}

impl Memory {
    /// Takes away what an earlier daemon has mounted for agents that do not run any more, and starts to look for the server.
    pub(crate) fn open(setup: Setup) -> Result<Self, MemoryError> {
        let (mounts, shared) = (setup.run.join(AGENTS), setup.run.join(SHARED));
        let stores = setup.running.iter().filter_map(|running| running.sharing.as_ref()).map(|sharing| &sharing.store);
        let names = setup.running.iter().map(|running| OsString::from(running.name.as_str())).collect();
        directory(&mounts, (0o750, setup.group.map_or(0, |GroupId(id)| id)), &names)?;
        directory(&shared, (0o700, 0), &stores.clone().map(|store| OsString::from(store.as_str())).collect())?;
        let own = setup.running.iter().map(|running| seat::mount_of_agent(&running.name, running.id));
        let kept = own.chain(stores.map(shares::mount_of)).collect();
        let of_one = Stores::open(setup.state.join("memory"), setup.server, stores::OWN)?;
        let of_several = Stores::open(setup.state.join("memory-shared"), setup.server, stores::SHARED)?;
        let views = Views::new(&setup);
        let program = Program {
            program: setup.program,
            socket: setup.run.join(SOCKET),
            user: setup.server,
            passthrough: setup.passthrough,
        };
        let (close, closing) = oneshot::channel();
        let (client, keeper) = Client::start(program, kept, closing);
        let shared = Shared {
            client,
            keeper: Mutex::new(Some((close, keeper))),
            stores: of_one,
            shares: Shares::new(of_several, shared),
            names: Names::default(),
            mounts,
            server: setup.server,
            usual: setup.working,
            workings: Workings::default(),
            views,
            restores: Restores::default(),
            blanks: Mutex::default(),
        };
        Ok(Self(Arc::new(shared)))
    }

    /// Makes file systems beforehand. What cannot be made is missed, and its lack explained, when it is needed.
    pub(crate) fn stock(&self) {
        self.0.stores.stock();
        let few = self.blanks().len() < MOST_BLANK;
        if few && let Ok(blank) = self.0.blank(self.0.usual) {
            self.blanks().push(blank);
        }
    }

    fn blanks(&self) -> std::sync::MutexGuard<'_, Vec<Blank>> {
        self.0.blanks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the server, which agents go on to need.
    pub(crate) async fn leave(&self) {
        let keeper = self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((close, keeper)) = keeper {
            // Aborted before it could read that nobody will close it, and end the server.
            keeper.abort();
            keeper.await.unwrap_or(());
            drop(close);
        }
    }

    /// Ends the server that a daemon has started. No agent lives any more.
    pub(crate) async fn close(&self) -> Result<(), MemoryError> {
        self.blanks().clear();
        let keeper = self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((close, keeper)) = keeper {
            // The keeper may have ended by itself, which the wait for it tells.
            close.send(()).unwrap_or(());
            keeper.await.unwrap_or_else(|error| journal::error(format_args!("agentos-vfs was not ended: {error}")));
        }
        self.0.stores.close();
        self.0.shares.close()?;
        std::fs::remove_dir(&self.0.mounts).map_err(|source| MemoryError::Io {
            attempt: "remove",
            path: self.0.mounts.clone(),
            source,
        })
    }
}

impl Memory {
    /// Makes a name forget. Waits until nobody has its files any more.
    pub(crate) async fn forget(&self, name: &AgentName) -> Result<(), MemoryError> {
        let held = self.hold(name).await?;
        self.forget_held(name, held)
    }

    /// The same for a name that is held already.
    pub(crate) fn forget_held(&self, name: &AgentName, held: Held) -> Result<(), MemoryError> {
        let removed = tokio::task::block_in_place(|| self.0.stores.remove(name));
        drop(held);
        removed
    }

    /// What a name remembers, if anything.
    pub(crate) fn find(&self, name: &AgentName) -> Result<Option<Kept>, MemoryError> {
        self.0.stores.find(name)
    }

    /// Every name that remembers something.
    pub(crate) fn names(&self) -> Result<Vec<AgentName>, MemoryError> {
        self.0.stores.names()
    }
}

impl Shared {
    fn blank(&self, working: Option<Quota>) -> Result<Blank, MemoryError> {
        let working = working.map(|quota| mounts::tmpfs(quota, self.server)).transpose()?;
        Ok(Blank { fuse: mounts::fuse()?, working })
    }

    /// One that fits, made beforehand or now.
    fn blank_for(&self, working: Option<Quota>) -> Result<Blank, MemoryError> {
        let ready = self.blanks.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match ready {
            Some(blank) if working == self.usual => Ok(blank),
            Some(Blank { fuse, .. }) => {
                let working = working.map(|quota| mounts::tmpfs(quota, self.server)).transpose()?;
                Ok(Blank { fuse, working })
            }
            None => self.blank(working),
        }
    }

    /// Frees a name that is new and remembers nothing.
    fn forget_new(&self, name: &AgentName, is_new: bool) {
        let removed = if is_new { tokio::task::block_in_place(|| self.stores.remove_empty(name)) } else { Ok(()) };
        if let Err(error) = removed {
            journal::error(format_args!("{}", journal::sentence(&error)));
        }
    }

    /// Has a mount served no longer. One that is not served any more has no other need.
    async fn end(&self, mount: MountId) {
        if let Err(error) = self.client.order(vec![(Order::End { mount }, Vec::new())]).await {
            journal::warning(format_args!("cannot end a mount: {}", journal::sentence(&error)));
        }
    }
}
