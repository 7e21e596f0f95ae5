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

/// Opens a user namespace that maps the user `owner` to `agent` and no other user. No process is left in it.
///
/// Other groups keep their numbers: nobody may write to an inode with an id that is not mapped, and a workspace whose
/// files belong to a group of its owner's is an ordinary one. The agent is in none of them.
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
    fs::write(directory.join("gid_map"), group_map(owner.gid, agent.gid)).attempt("map the workspace's group")?;
    fs::File::open(directory.join("ns/user")).map(OwnedFd::from).attempt("open the workspace's user namespace")
}

/// The owner's group becomes the agent's, every other one stays; the agent's own number on disk is nobody's.
fn group_map(owner: u32, agent: u32) -> String {
    let (low, high) = (owner.min(agent), owner.max(agent));
    let mut map = format!("{owner} {agent} 1\n");
    // The end of the last range is the id that means none, (gid_t)-1.
    for (first, end) in [(0, low), (low.saturating_add(1), high), (high.saturating_add(1), u32::MAX)] {
        if first < end {
            map.push_str(&format!("{first} {first} {}\n", end - first));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_one_place_and_only_the_owners_moves() {
        assert_eq!(
            group_map(100, 1_900_000_001),
            "100 1900000001 1\n0 0 100\n101 101 1899999900\n1900000002 1900000002 2394967293\n"
        );
        assert_eq!(group_map(0, 5), "0 5 1\n1 1 4\n6 6 4294967289\n");
        assert_eq!(group_map(5, 5), "5 5 1\n0 0 5\n6 6 4294967289\n");
    }
}
