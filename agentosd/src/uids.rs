//! Host uids for agents. Daemons beside each other take different blocks of the range, each locked by a file, so that
//! two agents never are the same user. The last uid of the range is the server's of agents' files, whichever block a
//! daemon has: what agents remember belongs to it on disk, and must do so after the next start too.

use crate::config::UidRange;
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The uid that no process can have (`(uid_t)-1`), and the one before it are out of reach.
pub(crate) const LAST: u32 = u32::MAX - 1;
/// Where the locks of blocks are.
pub(crate) const LOCKS: &str = "/run/agentos-uids";
/// Uids in a block.
const BLOCK: u32 = 4096;

/// Why there are no uids.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UidError {
    /// A lock file cannot be used.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Every block is another daemon's.
    #[error(
        "every block of {BLOCK} uids in {first}..{end} is used by another agentosd; give this one a range of its own: uid_range in its configuration"
    )]
    NoBlock {
        /// First uid of the range.
        first: u32,
        /// One past the last.
        end: u32,
    },
    /// The agents that run have uids from elsewhere.
    #[error("agents run with uids from {init} on, and uid_range is {first}..{end} now; set it back, or end them first")]
    Moved {
        /// First uid of their block.
        init: u32,
        /// First uid of the range.
        first: u32,
        /// One past the last.
        end: u32,
    },
}

/// This daemon's block.
#[derive(Clone, Debug)]
pub(crate) struct Uids {
    first: u32,
    count: u32,
    server: u32,
    used: Arc<Mutex<Used>>,
    lock: Arc<File>,
}

#[derive(Debug, Default)]
struct Used {
    taken: BTreeSet<u32>,
    /// Where the search goes on, so that a uid rests as long as possible before it is another agent's.
    next: u32,
}

/// A uid that is one agent's until this is dropped.
#[derive(Debug)]
pub(crate) struct AgentUid {
    uid: u32,
    offset: u32,
    used: Arc<Mutex<Used>>,
}

impl Uids {
    /// The block of an earlier daemon, whose agents still run, with its lock.
    pub(crate) fn inherit(init: u32, lock: OwnedFd, range: UidRange) -> Result<Self, UidError> {
        let server = range.first + range.count - 1;
        if !(range.first..server).contains(&init) {
            return Err(UidError::Moved { init, first: range.first, end: range.first + range.count });
        }
        let count = BLOCK.min(server - init);
        Ok(Self { first: init, count, server, used: Arc::default(), lock: Arc::new(File::from(lock)) })
    }

    /// The lock on the block, to be kept beside an agent: as long as somebody has it, the block is no other daemon's.
    pub(crate) fn lock(&self) -> io::Result<OwnedFd> {
        self.lock.try_clone().map(OwnedFd::from)
    }

    /// The uid of an agent that runs.
    pub(crate) fn taken(&self, uid: u32) -> Option<AgentUid> {
        let offset = uid.checked_sub(self.first + 1).filter(|offset| *offset < self.count - 1)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.next = used.next.max((offset + 1) % (self.count - 1));
        used.taken.insert(offset).then(|| AgentUid { uid, offset, used: Arc::clone(&self.used) })
    }

    /// Takes the first free block of the range.
    pub(crate) fn open(locks: &Path, range: UidRange) -> Result<Self, UidError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| UidError::Lock { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(locks).map_err(fail(locks))?;
        let server = range.first + range.count - 1;
        for first in (range.first..server).step_by(4096) {
            let count = BLOCK.min(server - first);
            if count < 2 {
                break;
            }
            let path = locks.join(first.to_string());
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(fail(&path))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { first, count, server, used: Arc::default(), lock: Arc::new(file) }),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(fail(&path)(error.into())),
            }
        }
        Err(UidError::NoBlock { first: range.first, end: range.first + range.count })
    }

    /// The user that every PID 1 inside is: the block's first.
    pub(crate) fn init(&self) -> u32 {
        self.first
    }

    /// The user that serves agents' files.
    pub(crate) fn server(&self) -> u32 {
        self.server
    }

    /// A uid for an agent, if one is left.
    pub(crate) fn take(&self) -> Option<AgentUid> {
        let agents = self.count - 1;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = (0..agents).map(|step| (used.next + step) % agents).find(|offset| !used.taken.contains(offset))?;
        used.taken.insert(offset);
        used.next = (offset + 1) % agents;
        Some(AgentUid { uid: self.first + 1 + offset, offset, used: Arc::clone(&self.used) })
    }
}

impl AgentUid {
    /// The number.
    pub(crate) fn get(&self) -> u32 {
        self.uid
    }
}

impl Drop for AgentUid {
    fn drop(&mut self) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.taken.remove(&self.offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_daemons_never_share_a_uid() {
        let locks = tempfile::tempdir().unwrap();
        let range = UidRange { first: 10_000, count: 8193 };
        let (a, b) = (Uids::open(locks.path(), range).unwrap(), Uids::open(locks.path(), range).unwrap());
        assert_eq!((a.init(), b.init()), (10_000, 14_096));
        assert_eq!((a.server(), b.server()), (18_192, 18_192));
        assert!(matches!(Uids::open(locks.path(), range), Err(UidError::NoBlock { .. })));
        drop(a);
        assert_eq!(Uids::open(locks.path(), range).unwrap().init(), 10_000);
    }

    #[test]
    fn a_uid_is_one_agents_and_rests_before_it_is_anothers() {
        let locks = tempfile::tempdir().unwrap();
        let uids = Uids::open(locks.path(), UidRange { first: 100, count: 5 }).unwrap();
        let (a, b) = (uids.take().unwrap(), uids.take().unwrap());
        assert_eq!((a.get(), b.get()), (101, 102));
        drop(a);
        let c = uids.take().unwrap();
        assert_eq!(c.get(), 103);
        let d = uids.take().unwrap();
        assert_eq!(d.get(), 101);
        assert!(uids.take().is_none());
    }
}
