//! A tree's parts, from the descriptors that the daemon hands over.

use crate::area::{Area, Purpose};
use crate::quota::Account;
use crate::tree::{Part, Tree};
use protocol::vfs::{Quota, Quotas, Serve};
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

/// What was held when the last tree on this store ended; absent while one may change it.
const COUNTERS: &str = "usage.json";
const COUNTERS_NEW: &str = "usage.json.new";

/// The counters as they lie on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Counters {
    /// Written in this boot. After a crash of the host the removal of the file may be lost, so another boot's do not count.
    boot: String,
    used: Quotas,
}

/// This boot's id, read once before the host's files are out of reach.
#[derive(Clone, Debug)]
pub struct Boot(String);

impl Boot {
    /// Reads it.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn read() -> io::Result<Self> {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| Self(id.trim().to_owned()))
    }
}

/// Where the parts of a name lie on disk.
#[derive(Debug)]
pub struct Store {
    directory: OwnedFd,
    boot: Boot,
}

impl Store {
    /// On the directory that the daemon hands over.
    #[must_use]
    pub fn new(directory: OwnedFd, boot: Boot) -> Self {
        Self { directory, boot }
    }

    /// The tree that was ordered, and which of its parts are still to be counted: those without counters.
    ///
    /// # Errors
    /// What the disk says.
    pub fn tree(&self, order: &Serve, purpose: Purpose, working: Option<OwnedFd>) -> io::Result<(Tree, Vec<Area>)> {
        let counters = self.counters();
        let (mut parts, mut uncounted) = (Vec::new(), Vec::new());
        if let (Some(limit), Some(directory)) = (order.quotas.working, working) {
            let account = Account::in_memory(limit, NOTHING);
            parts.push(Part { area: Area::Working, directory, account });
            uncounted.push(Area::Working);
        }
        for area in Area::LASTING {
            let Some(limit) = quota(&order.quotas, area) else { continue };
            let used = counters.as_ref().and_then(|counters| quota(&counters.used, area));
            if used.is_none() {
                uncounted.push(area);
            }
            let account = Account::on_disk(limit, used.unwrap_or(NOTHING));
            parts.push(Part { area, directory: self.part(area)?, account });
        }
        let mut tree = Tree::new(purpose, parts)?;
        if order.shared_semantic && order.quotas.semantic.is_none() {
            tree.show_place_of_semantic();
        }
        if purpose == Purpose::Inspect {
            // Nothing is bounded, so that nobody has to wait for a count before somebody wants to know it.
            tree.count_when_asked(std::mem::take(&mut uncounted));
        } else {
            self.forget_counters()?;
        }
        Ok((tree, uncounted))
    }

    fn part(&self, area: Area) -> io::Result<OwnedFd> {
        match mkdirat(&self.directory, area.name(), Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(openat(&self.directory, area.name(), crate::directories::DIRECTORY, Mode::empty())?)
    }

    /// None when they are absent, unreadable or of another boot: then all is counted anew.
    fn counters(&self) -> Option<Counters> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, COUNTERS, flags, Mode::empty()).ok()?;
        let mut text = String::new();
        File::from(file).take(64 << 10).read_to_string(&mut text).ok()?;
        let counters: Counters = serde_json::from_str(&text).ok()?;
        Some(counters).filter(|counters| counters.boot == self.boot.0)
    }

    fn forget_counters(&self) -> io::Result<()> {
        match unlinkat(&self.directory, COUNTERS, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down what is held, for the next tree on this store.
    ///
    /// # Errors
    /// What the disk says; the next tree counts then.
    pub fn keep_counters(&self, tree: &Tree) -> io::Result<()> {
        let used = |area| tree.account(area).map(|account| account.used());
        let counters = Counters {
            boot: self.boot.0.clone(),
            used: Quotas {
                working: None,
                episodic: used(Area::Episodic),
                semantic: used(Area::Semantic),
                procedural: used(Area::Procedural),
                state: used(Area::State),
            },
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, COUNTERS_NEW, flags, Mode::from_raw_mode(0o600))?;
        File::from(file).write_all(&serde_json::to_vec(&counters)?)?;
        Ok(renameat(&self.directory, COUNTERS_NEW, &self.directory, COUNTERS)?)
    }
}

const NOTHING: Quota = Quota { bytes: 0, inodes: 0 };

/// The quota of one area.
#[must_use]
pub fn quota(quotas: &Quotas, area: Area) -> Option<Quota> {
    match area {
        Area::Working => quotas.working,
        Area::Episodic => quotas.episodic,
        Area::Semantic => quotas.semantic,
        Area::Procedural => quotas.procedural,
        Area::State => quotas.state,
    }
}
