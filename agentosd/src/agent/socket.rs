//! An agent's socket to the kernel of Agent OS: `RUN/kernel/ID/kernel.sock`, inside `/run/agentos/kernel.sock`.

use crate::action::Governed;
use crate::daemon::Daemon;
use crate::doors::Kernel;
use crate::journal;
use crate::transport::{Admitted, Bounds, listen, serve};
use protocol::ids::AgentId;
use sandbox::plan::{Part, Place};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
}

/// What is mounted inside.
pub(crate) fn part(run: &Path, id: AgentId) -> Part {
    Part { source: directory_of(run, id), place: Place::Sockets }
}

fn directory_of(run: &Path, id: AgentId) -> PathBuf {
    run.join(DIRECTORY).join(id.to_string())
}

impl KernelSocket {
    /// Listens for this agent, which alone may connect.
    pub(super) fn open(daemon: &Arc<Daemon>, governed: &Arc<Governed>, (id, uid): (AgentId, u32)) -> io::Result<Self> {
        let directory = directory_of(&daemon.own.run, id);
        std::fs::create_dir_all(&directory)?;
        let admitted = Admitted::Only(uid);
        let listener = listen(&directory.join(SOCKET), admitted)?;
        let door = Kernel { daemon: Arc::clone(daemon), governed: Arc::clone(governed) };
        let bounds = Bounds { admitted, per_uid: MOST_CONNECTIONS };
        Ok(Self { directory, accepting: tokio::spawn(serve(listener, bounds, door)) })
    }
}

impl Drop for KernelSocket {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            journal::warning(format_args!("cannot remove {}: {error}", self.directory.display()));
        }
    }
}
