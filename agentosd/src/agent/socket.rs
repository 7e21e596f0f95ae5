//! An agent's socket to the kernel of Agent OS: `RUN/kernel/ID/kernel.sock`, inside `/run/agentos/kernel.sock`.

use crate::action::Governed;
use crate::daemon::Daemon;
use crate::doors::Kernel;
use crate::journal;
use crate::transport::{Admitted, Bounds, listen, serve};
use protocol::ids::AgentId;
use sandbox::plan::{Part, Place};
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

/// The directory of all, in the run directory.
pub(crate) const DIRECTORY: &str = "kernel";
/// The socket's name.
const SOCKET: &str = "kernel.sock";
/// Most connections of an agent at one time.
const MOST_CONNECTIONS: usize = 32;

/// It listens until it is dropped, and is gone then.
#[derive(Debug)]
pub(super) struct KernelSocket {
    directory: PathBuf,
    accepting: JoinHandle<()>,
    /// It outlives us, with its agent.
    stays: bool,
}

/// What is mounted inside.
pub(crate) fn part(run: &Path, id: AgentId) -> Part {
    Part { source: directory_of(run, id), place: Place::Sockets }
}

fn directory_of(run: &Path, id: AgentId) -> PathBuf {
    run.join(DIRECTORY).join(id.to_string())
}

impl KernelSocket {
    /// Listens for this agent, which alone may connect; with it a copy of the listening socket, for whoever keeps it open
    /// while no daemon is there.
    pub(super) fn open(
        daemon: &Arc<Daemon>,
        governed: &Arc<Governed>,
        (id, uid): (AgentId, u32),
    ) -> io::Result<(Self, OwnedFd)> {
        let directory = directory_of(&daemon.own.run, id);
        std::fs::create_dir_all(&directory)?;
        // The agent is to come through, as another user.
        std::fs::set_permissions(&directory, Permissions::from_mode(0o711))?;
        let listener = listen(&directory.join(SOCKET), Admitted::Only(uid))?;
        let copy = listener.as_fd().try_clone_to_owned()?;
        Ok((Self::serve(daemon, governed, (directory, listener), uid), copy))
    }

    /// Goes on where an earlier daemon listened: those who have connected meanwhile wait there.
    pub(super) fn resume(
        daemon: &Arc<Daemon>,
        governed: &Arc<Governed>,
        (id, uid): (AgentId, u32),
        listener: OwnedFd,
    ) -> io::Result<Self> {
        let directory = directory_of(&daemon.own.run, id);
        let listener = UnixListener::from_std(listener.into())?;
        Ok(Self::serve(daemon, governed, (directory, listener), uid))
    }

    fn serve(
        daemon: &Arc<Daemon>,
        governed: &Arc<Governed>,
        (directory, listener): (PathBuf, UnixListener),
        uid: u32,
    ) -> Self {
        let door = Kernel { daemon: Arc::clone(daemon), governed: Arc::clone(governed) };
        let bounds = Bounds { admitted: Admitted::Only(uid), per_uid: MOST_CONNECTIONS };
        Self { directory, accepting: tokio::spawn(serve(listener, bounds, door)), stays: false }
    }

    /// Stops answering; the socket stays, and those who connect wait for the next daemon.
    pub(super) fn leave(mut self) {
        self.stays = true;
    }
}

impl Drop for KernelSocket {
    fn drop(&mut self) {
        self.accepting.abort();
        if self.stays {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            journal::warning(format_args!("cannot remove {}: {error}", self.directory.display()));
        }
    }
}
