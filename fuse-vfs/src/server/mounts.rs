//! What is served: the mounts, each with a thread of its own.

use super::daemons::Daemons;
use super::store::{Boot, Store};
use crate::adapter::{Mounted, SharedTree, Terms, lock};
use crate::area::{Area, Purpose};
use crate::tree::Tree;
use protocol::vfs::{self, Answer, MountId, Quota, Quotas, Serve};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// Stack of a mount's own thread in bytes; it only waits.
const STACK: usize = 64 << 10;
/// How long an order waits for a tree that is at work: what one agent asked of the disk must not hold the others' orders up.
const TRIES: u32 = 25;
const BETWEEN_TRIES: Duration = Duration::from_millis(2);

/// Why an order was not carried out: a fragment fit for "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The name is in use.
    #[error("serve {0}: it is served already")]
    Served(String),
    /// No such mount.
    #[error("find the mount {0}")]
    Unknown(String),
    /// Its tree has been at work for too long.
    #[error("reach the files of {0}: the disk is busy with what the agent asked for last")]
    Busy(String),
    /// What came beside the order.
    #[error("serve {0}: the order came with {1} descriptors, and {2} were expected")]
    Descriptors(String, usize, &'static str),
    /// The backing directories.
    #[error("open the store of {0}: {1}")]
    Store(String, io::Error),
    /// The device.
    #[error("answer the kernel on the mount {0}: {1}")]
    Device(String, io::Error),
    /// A thread.
    #[error("start a thread for {0}: {1}")]
    Thread(String, io::Error),
    /// A published file.
    #[error("publish {0}: {1}")]
    Publish(String, Errno),
    /// What it is to hold.
    #[error("read what {0} is to hold: {1}")]
    Content(String, io::Error),
}

#[derive(Debug)]
struct Mount {
    tree: SharedTree,
    store: Store,
    purpose: Purpose,
}

impl Mount {
    /// Counts what was left uncounted, a crash or a restart of the host ago.
    fn count(&self, areas: &[Area]) -> Result<(), Errno> {
        for area in areas {
            let mut apart = lock(&self.tree).to_count(*area)?;
            let account = apart.count(*area)?;
            lock(&self.tree).set_account(*area, account);
        }
        // Whoever only looks leaves that to the tree of the agent.
        if self.purpose != Purpose::Inspect
            && let Some(mut apart) = self.apart(Area::Working)?
        {
            for file in apart.find_expiring()? {
                lock(&self.tree).expect_expiry(&file)?;
            }
        }
        Ok(())
    }

    /// A tree of its own on one part, if this one has it.
    fn apart(&self, area: Area) -> Result<Option<Tree>, Errno> {
        match lock(&self.tree).to_count(area) {
            Ok(apart) => Ok(Some(apart)),
            Err(Errno::STALE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The tree, unless it is at work for long: one thread carries the orders for all mounts.
    fn soon(&self) -> Option<MutexGuard<'_, Tree>> {
        for _ in 0..TRIES {
            match self.tree.try_lock() {
                Ok(tree) => return Some(tree),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
            }
        }
        None
    }

    /// Ends, at once or when the tree has done what it is at. What is held is then counted anew by the next tree, which
    /// may be at work already.
    fn end_soon(self: &Arc<Self>) {
        if let Some(tree) = self.soon() {
            return self.end(tree);
        }
        let mount = Arc::clone(self);
        let later = std::thread::Builder::new().name("ending".to_owned()).spawn(move || lock(&mount.tree).close());
        if let Err(error) = later {
            eprintln!("agentos-vfs: a mount that is at work was not ended: {error}");
        }
    }

    /// Writes the counters down and lets go of everything.
    fn end(&self, mut tree: MutexGuard<'_, Tree>) {
        tree.count_out_orphans();
        if self.purpose != Purpose::Inspect
            && let Err(error) = self.store.keep_counters(&tree)
            // Where the store is removed, nothing is left to count.
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("agentos-vfs: what is used was not written down and will be counted anew: {error}");
        }
        tree.close();
    }
}

/// All mounts.
#[derive(Debug)]
pub struct Mounts {
    served: Mutex<BTreeMap<MountId, Arc<Mount>>>,
    daemons: Daemons,
    boot: Boot,
    passthrough: bool,
}

impl Mounts {
    /// None yet.
    #[must_use]
    pub fn new(boot: Boot, passthrough: bool) -> Arc<Self> {
        Arc::new(Self { served: Mutex::default(), daemons: Daemons::default(), boot, passthrough })
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<MountId, Arc<Mount>>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a connection of mounts that end unasked.
    pub(super) fn tell(&self, connection: &Arc<OwnedFd>) {
        self.daemons.add(connection);
    }

    /// The names of those served.
    #[must_use]
    pub fn names(&self) -> Vec<MountId> {
        self.served().keys().cloned().collect()
    }

    fn get(&self, id: &MountId) -> Result<Arc<Mount>, Failure> {
        self.served().get(id).map(Arc::clone).ok_or_else(|| Failure::Unknown(id.0.clone()))
    }

    /// Begins to serve a mount.
    ///
    /// # Errors
    /// [`Failure`]; nothing is served then.
    pub fn serve(self: &Arc<Self>, order: &Serve, descriptors: Vec<OwnedFd>) -> Result<(), Failure> {
        let name = order.mount.0.clone();
        let count = descriptors.len();
        let mut descriptors = descriptors.into_iter();
        let (Some(device), Some(store), working, None) =
            (descriptors.next(), descriptors.next(), descriptors.next(), descriptors.next())
        else {
            return Err(Failure::Descriptors(name, count, "a device, a store and perhaps a tmpfs"));
        };
        if working.is_some() != order.quotas.working.is_some() {
            return Err(Failure::Descriptors(name, count, "a tmpfs exactly where `working` has a quota"));
        }
        if self.served().contains_key(&order.mount) {
            return Err(Failure::Served(name));
        }
        let purpose = purpose(order.purpose);
        let store = Store::new(store, self.boot.clone());
        let (tree, uncounted) =
            store.tree(order, purpose, working).map_err(|error| Failure::Store(name.clone(), error))?;
        let tree = Arc::new(Mutex::new(tree));
        let terms = Terms {
            uid: order.uid,
            gid: order.gid,
            passthrough: self.passthrough,
            idmapped: purpose == Purpose::Shared,
        };
        let mounted =
            Mounted::new(Arc::clone(&tree), terms, device).map_err(|error| Failure::Device(name.clone(), error))?;
        let mount = Arc::new(Mount { tree, store, purpose });
        self.served().insert(order.mount.clone(), Arc::clone(&mount));
        let (mounts, id) = (Arc::clone(self), order.mount.clone());
        let thread = std::thread::Builder::new().name("mount".to_owned()).stack_size(STACK).spawn(move || {
            // The kernel's requests wait meanwhile; other mounts and the daemon do not.
            let served = mount.count(&uncounted).map_err(io::Error::from).and_then(|()| mounted.serve());
            mounts.ended(id, &mount, served);
        });
        thread.map(|_| ()).map_err(|error| {
            self.served().remove(&order.mount);
            Failure::Thread(name, error)
        })
    }

    /// A mount has ended: unmounted, or not to be served any more. After a failure its counters are not believed.
    fn ended(&self, id: MountId, mount: &Arc<Mount>, outcome: io::Result<()>) {
        let mut served = self.served();
        if !served.get(&id).is_some_and(|known| Arc::ptr_eq(known, mount)) {
            return;
        }
        served.remove(&id);
        drop(served);
        let mut tree = lock(&mount.tree);
        match outcome {
            Ok(()) => mount.end(tree),
            Err(error) => {
                eprintln!("agentos-vfs: serving the mount {} ended: {error}", protocol::text::escape(&id.0));
                tree.close();
            }
        }
        // Last, since the daemon may serve the same store at once.
        self.daemons.tell(&Answer::Ended { mount: id });
    }

    /// Serves a mount no longer; one that is unknown has ended by itself.
    pub fn end(&self, id: &MountId) {
        let mount = self.served().remove(id);
        if let Some(mount) = mount {
            mount.end_soon();
        }
    }

    /// Puts a file into a tree.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn publish(&self, id: &MountId, path: &str, mode: u32, content: Vec<u8>) -> Result<(), Failure> {
        let mode = u16::try_from(mode & 0o777).unwrap_or(0);
        let mount = self.get(id)?;
        let published = mount.soon().ok_or_else(|| busy(id))?.publish(path, mode, Arc::from(content));
        published.map(|_| ()).map_err(|error| Failure::Publish(path.to_owned(), error))
    }

    /// Takes a published file out of a tree.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn withdraw(&self, id: &MountId, path: &str) -> Result<(), Failure> {
        let mount = self.get(id)?;
        let withdrawn = mount.soon().ok_or_else(|| busy(id))?.withdraw(path);
        withdrawn.map_err(|error| Failure::Publish(path.to_owned(), error))
    }

    /// What a mount holds.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn usage(&self, id: &MountId) -> Result<Quotas, Failure> {
        let mount = self.get(id)?;
        let mut tree = mount.soon().ok_or_else(|| busy(id))?;
        let mut used = |area| -> Option<Quota> { tree.area_usage(area).ok().map(|(_, used)| used) };
        Ok(Quotas {
            working: used(Area::Working),
            episodic: used(Area::Episodic),
            semantic: used(Area::Semantic),
            procedural: used(Area::Procedural),
            state: used(Area::State),
        })
    }
}

fn busy(id: &MountId) -> Failure {
    Failure::Busy(id.0.clone())
}

fn purpose(purpose: vfs::Purpose) -> Purpose {
    match purpose {
        vfs::Purpose::Agent => Purpose::Agent,
        vfs::Purpose::Inspect => Purpose::Inspect,
        vfs::Purpose::Restore => Purpose::Restore,
        vfs::Purpose::Shared => Purpose::Shared,
    }
}
