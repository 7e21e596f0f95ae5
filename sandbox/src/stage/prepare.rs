//! Making PID 1: cloned into its cgroup and namespaces, waiting for the plan.

use super::inner;
use super::step::{Attempt as _, Step};
use crate::cgroup::Cgroup;
use crate::seccomp::Filters;
use crate::sys::clone::{Side, exit_now, fork_into};
use crate::sys::kernel::close_all_but;
use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

/// PID 1 as the outer half sees it.
#[derive(Debug)]
pub(super) struct Init {
    /// Its pidfd.
    pub(super) pidfd: OwnedFd,
    /// Its number on the host.
    pub(super) pid: i32,
    /// Where it takes orders and reports.
    pub(super) socket: OwnedFd,
    /// Its mount namespace, when it is in it. Held, it is taken down by the outer half's end, and not by whichever process
    /// inside is the last: that waits for an RCU grace period (`namespace_unlock()`), and whoever waits for an agent's
    /// death with it.
    pub(super) mounts: Option<OwnedFd>,
}

impl Init {
    /// PID 1 has left the host's mounts.
    pub(super) fn hold_mounts(&mut self) -> Step {
        let namespace = std::path::PathBuf::from(format!("/proc/{}/ns/mnt", self.pid));
        let mounts = rustix::fs::open(&namespace, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .attempt_on("open the mount namespace", &namespace)?;
        self.mounts = Some(mounts);
        Ok(())
    }
}

/// Namespaces that PID 1 is born into. Others come later: that of mounts as a copy of the nursery, that of cgroups when it
/// is in all its groups.
const NAMESPACES: CloneFlags = CloneFlags::CLONE_NEWPID
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWNET);

/// Clones PID 1 into its version 2 group; it joins the version 1 groups itself, as the first thing it does.
pub(super) fn prepare(cgroup: &Cgroup, nursery: OwnedFd) -> Step<Init> {
    let filters = Filters::compile().map_err(io::Error::other).attempt("compile the system call filter")?;
    let directory =
        rustix::fs::open(cgroup.unified(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .attempt_on("open the cgroup", cgroup.unified())?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .attempt("make a socket pair")?;
    let forked = fork_into(NAMESPACES, directory.as_fd()).attempt("clone into new namespaces")?;
    let Side::Parent { pidfd, pid } = forked else {
        if close_all_but(&[theirs.as_fd(), nursery.as_fd()]).is_err() {
            exit_now(1);
        }
        exit_now(inner::run(theirs, &filters, (&cgroup.version1(), nursery)));
    };
    drop(theirs);
    Ok(Init { pidfd, pid, socket: ours, mounts: None })
}
