//! `agentos-vfs` with mounts of its own and no daemon: what the daemon does for the server, done by hand.
//!
//! ```text
//!   Server ──► agentos-vfs (a process, a socket, a directory that vanishes)
//!     └── mount(Wanted) ──► Mount: /dev/fuse mounted, handed over with a store and a tmpfs; dropped, it is unmounted
//! ```
//! A [`Store`] is what is on disk. It outlives server and mount, so that a test can look at what they have left there.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let server = mounted::Server::start("target/debug/agentos-vfs".as_ref())?;
//! let store = mounted::Store::new()?;
//! let mount = server.mount(&store, &mounted::Wanted::default())?;
//! std::fs::write(mount.path().join("mem/working/task"), "read this")?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod control;
mod kernel;
mod mount;
mod server;
mod store;

pub use mount::{Mount, Wanted, as_user};
pub use server::Server;
pub use store::Store;

/// Whom `agentos-vfs` runs as. In no range that a daemon gives to agents.
pub const SERVER: u32 = 1_798_000_001;
/// Whom the files of a mount belong to unless [`Wanted::user`] says otherwise: "the agent", user and group.
pub const AGENT: u32 = 1_798_000_002;
