//! The clock of one mount: takes files away when they expire, and tells the kernel.
//!
//! It has a thread only while something is to expire. The kernel is told without the tree's lock: telling waits for the
//! directory's lock, whose holder may wait for an answer from the tree.

use super::{Kernel, SharedTree, lock};
use crate::tree::{Tree, uptime};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// Files taken away in one go; the tree answers requests between two.
const BATCH: usize = 64;

#[derive(Debug)]
pub(super) struct Expiry {
    tree: Weak<Mutex<Tree>>,
    kernel: OnceLock<Kernel>,
    /// Whether a thread watches.
    watched: Mutex<bool>,
    sooner: Condvar,
}

impl Expiry {
    pub(super) fn new(tree: Weak<Mutex<Tree>>) -> Self {
        Self { tree, kernel: OnceLock::new(), watched: Mutex::new(false), sooner: Condvar::new() }
    }

    /// From now on the kernel can be told.
    pub(super) fn begin(self: &Arc<Self>, kernel: Kernel) {
        // Called once, where the mount is made.
        if self.kernel.set(kernel).is_ok() {
            self.look();
        }
    }

    /// Something may expire sooner than was known.
    pub(super) fn look(self: &Arc<Self>) {
        let Some(tree) = self.tree.upgrade() else { return };
        if lock(&tree).next_expiry().is_none() {
            return;
        }
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if !*watched {
            let clock = Arc::clone(self);
            *watched = std::thread::Builder::new().name("expiry".to_owned()).spawn(move || clock.watch()).is_ok();
        }
        self.sooner.notify_one();
    }

    fn watch(&self) {
        loop {
            let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((tree, next)) = self.next() else {
                *watched = false;
                return;
            };
            let wait = Duration::from_nanos(next.saturating_sub(uptime()));
            if !wait.is_zero() {
                drop(tree);
                drop(self.sooner.wait_timeout(watched, wait));
                continue;
            }
            drop(watched);
            let gone = lock(&tree).expire(BATCH);
            for name in gone {
                if let Some(kernel) = self.kernel.get()
                    && let Err(error) = kernel.removed(name.parent, name.node, &name.name)
                {
                    // Not fatal: the name is gone, and is asked for again when the kernel's memory of it ends.
                    eprintln!("agentos-vfs: the kernel was not told of an expired file: {error}");
                }
            }
        }
    }

    fn next(&self) -> Option<(SharedTree, u64)> {
        let tree = self.tree.upgrade()?;
        let next = lock(&tree).next_expiry()?;
        Some((tree, next))
    }
}
