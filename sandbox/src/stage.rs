//! The program `agentos-stage`: builds one agent's sandbox and stays as long as the agent.
//!
//! ```text
//!   agentosd ◄─ message ─► outer half (root, outside)          reads orders, opens what the caller may open,
//!                              │  │                            pumps the streams, reports the end, outlives the daemon
//!                              │  └─ clone3 into the cgroup ─► inner half = PID 1 inside (own uid, no capability)
//!                              └──── inner::Order + mounts ──►     builds its root, confines itself, starts and reaps
//!                                                                  └─ fork ─► the agent's processes
//! ```
//! PID 1 puts itself under everything before it starts anything: namespaces, view, limits, empty capability sets,
//! no_new_privs, Landlock, seccomp. What it forks inherits all of it and only changes to the agent's uid, so there is
//! one place where confinement happens, and a process started later by `exec` is in the same domain as the agent.

mod confine;
mod idmap;
mod inner;
mod landlock;
mod nursery;
mod outer;
mod output_log;
mod pace;
mod parts;
mod prepare;
mod root;
mod sources;
mod spawn;
mod step;
mod streams;
mod template;
mod trees;

pub use nursery::Nursery;
use std::io;
use std::os::fd::AsFd as _;

/// Runs a stage; its standard input is the socket to the daemon. Returns when the agent has ended.
///
/// # Errors
/// When the socket to the daemon fails. Everything else is reported over it.
pub fn run() -> io::Result<()> {
    // Whoever starts it may take no signals, and a mask is inherited.
    nix::sys::signal::SigSet::all().thread_unblock()?;
    // Ctrl-C on a daemon that was started by hand is for the daemon alone. A stage that leads its session is left so.
    match rustix::process::setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    // No directory of the daemon's is kept busy.
    std::env::set_current_dir("/")?;
    // The agent has to be able to enter what is made for it, whatever the daemon was started with.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let daemon = io::stdin().as_fd().try_clone_to_owned()?;
    outer::run(daemon)
}
