//! The connections over which the daemon is told what it did not ask.

use protocol::vfs::Answer;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Those that are open.
#[derive(Debug, Default)]
pub(super) struct Daemons(Mutex<Vec<Weak<OwnedFd>>>);

impl Daemons {
    /// Tells this one too, until it is dropped.
    pub(super) fn add(&self, connection: &Arc<OwnedFd>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|connection| connection.strong_count() > 0);
        known.push(Arc::downgrade(connection));
    }

    /// Tells all, and waits until they have room for it. A daemon that has gone needs no news; the next one asks what
    /// is served.
    pub(super) fn tell(&self, news: &Answer) {
        let known: Vec<_> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.iter().filter_map(Weak::upgrade).collect()
        };
        let Ok(text) = serde_json::to_vec(news) else { return };
        for connection in known {
            match send(&*connection, &text, SendFlags::NOSIGNAL) {
                Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => {}
                Err(error) => eprintln!("agentos-vfs: agentosd was not told of a mount that ended: {error}"),
            }
        }
    }
}
