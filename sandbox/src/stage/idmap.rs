//! A user namespace made only for its map: an idmapped mount shows files of `owner` as the agent's, and on disk the
//! agent's files stay `owner`'s (mount_setattr(2), "ID-mapped mounts").

use super::step::{Attempt as _, Step};
use crate::plan::Identity;
use crate::sys::clone::{Side, exit_now, fork};
use crate::sys::signal::die_with_parent;
use nix::sched::CloneFlags;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};

/// Opens a user namespace that maps `owner` to `agent` and nobody else. No process is left in it.
pub(super) fn user_namespace(owner: Identity, agent: Identity) -> Step<OwnedFd> {
    let forked = fork(CloneFlags::CLONE_NEWUSER).attempt("make a user namespace for the workspace's map")?;
    let Side::Parent { pidfd, pid } = forked else {
        hold();
    };
    let namespace = map_and_open(pid, owner, agent);
    pidfd_send_signal(&pidfd, Signal::KILL).attempt("end the namespace's holder")?;
    waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).attempt("reap the namespace's holder")?;
    namespace
}

/// Keeps the namespace until it is open. Killed then, or by the stage's own death.
fn hold() -> ! {
    if die_with_parent().is_err() {
        exit_now(1);
    }
    loop {
        nix::unistd::pause();
    }
}

fn map_and_open(pid: i32, owner: Identity, agent: Identity) -> Step<OwnedFd> {
    let directory = std::path::PathBuf::from(format!("/proc/{pid}"));
    fs::write(directory.join("uid_map"), format!("{} {} 1", owner.uid, agent.uid))
        .attempt("map the workspace's user")?;
    fs::write(directory.join("gid_map"), format!("{} {} 1", owner.gid, agent.gid))
        .attempt("map the workspace's group")?;
    fs::File::open(directory.join("ns/user")).map(OwnedFd::from).attempt("open the workspace's user namespace")
}
