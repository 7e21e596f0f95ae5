//! Who calls, as the kernel says.

use crate::group::GroupId;
use protocol::agent::Agent;
use protocol::error::ControlError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::io;

/// The peer of a connection, at the time when it connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Caller {
    /// User.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Supplementary groups; for root, whom no directory refuses, left empty.
    pub(crate) groups: Vec<u32>,
    /// Process, for the record; 0 when it is in a PID namespace beside ours.
    pub(crate) pid: i32,
}

/// Why a caller could not be identified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallerError {
    /// The peer's process ended before its groups could be read.
    #[error("the process {pid} of uid {uid} ended before its groups could be read")]
    Gone {
        /// The process.
        pid: i32,
        /// Its user.
        uid: u32,
    },
    /// The peer's status could not be read.
    #[error("cannot read the groups of process {pid}")]
    Status {
        /// The process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
}

impl Caller {
    /// Completes what SO_PEERCRED gave with the supplementary groups.
    ///
    /// SO_PEERGROUPS would be exact, but needs a wrapper that this crate cannot have without `unsafe`. Instead
    /// /proc/PID/status is read while a pidfd shows that the process lives, and must name the uid that the socket names:
    /// a process number that was given away in between then belongs to the same user.
    pub(crate) fn identify(uid: u32, gid: u32, pid: i32) -> Result<Self, CallerError> {
        if uid == 0 {
            return Ok(Self { uid, gid, groups: Vec::new(), pid });
        }
        let gone = || CallerError::Gone { pid, uid };
        let fail = |source| CallerError::Status { pid, source };
        let process = Pid::from_raw(pid.max(0)).ok_or_else(gone)?;
        let handle = pidfd_open(process, PidfdFlags::empty()).map_err(|_| gone())?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(fail)?;
        let ended =
            poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&Timespec::default())).map_err(|e| fail(e.into()))?;
        match groups_of(&status, uid) {
            Some(groups) if ended == 0 => Ok(Self { uid, gid, groups, pid }),
            _ => Err(gone()),
        }
    }

    /// Whether the caller may use the control socket at all.
    pub(crate) fn admitted(&self, group: Option<GroupId>) -> bool {
        self.is_root() || group.is_some_and(|GroupId(id)| self.gid == id || self.groups.contains(&id))
    }

    /// Root, to whom every agent answers.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Whether the caller may see an agent and act on it.
    pub(crate) fn owns(&self, agent: &Agent) -> bool {
        self.is_root() || self.uid == agent.owner
    }

    /// For the event log.
    pub(crate) fn recorded(&self) -> protocol::event::Caller {
        protocol::event::Caller { uid: self.uid, pid: self.pid }
    }

    /// The refusal of something that only root may do.
    pub(crate) fn not_permitted(&self, what: &str, why: &str) -> ControlError {
        ControlError::NotPermitted { what: what.to_owned(), uid: self.uid, why: why.to_owned() }
    }
}

/// The supplementary groups in a status file, if it is of a process of this user.
fn groups_of(status: &str, uid: u32) -> Option<Vec<u32>> {
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
    // `Uid: real effective saved filesystem`; SO_PEERCRED gives the effective one.
    let effective: u32 = field("Uid:")?.split_whitespace().nth(1)?.parse().ok()?;
    (effective == uid).then(|| field("Groups:")?.split_whitespace().map(|group| group.parse().ok()).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\nUid:\t1000\t1001\t1000\t1001\nGid:\t7\t7\t7\t7\nGroups:\t4 27 970 \n";

    #[test]
    fn groups_are_the_effective_users() {
        assert_eq!(groups_of(STATUS, 1001), Some(vec![4, 27, 970]));
        assert_eq!(groups_of(STATUS, 1000), None, "the real uid is not the caller");
        assert_eq!(groups_of("Uid:\t1\t1\t1\t1\n", 1), None, "no groups line");
    }

    #[test]
    fn only_root_and_the_group_are_admitted() {
        let caller = |uid, gid, groups: &[u32]| Caller { uid, gid, groups: groups.to_vec(), pid: 1 };
        let group = Some(GroupId(970));
        for (who, expected) in [
            (caller(0, 0, &[]), true),
            (caller(5, 970, &[]), true),
            (caller(5, 5, &[1, 970]), true),
            (caller(5, 5, &[1]), false),
        ] {
            assert_eq!(who.admitted(group), expected, "{who:?}");
        }
        assert!(caller(0, 0, &[]).admitted(None));
        assert!(!caller(5, 970, &[970]).admitted(None));
    }

    #[test]
    fn a_process_that_is_gone_is_nobody() {
        assert!(matches!(Caller::identify(5, 5, 0), Err(CallerError::Gone { .. })));
        assert!(Caller::identify(5, 5, i32::try_from(std::process::id()).unwrap()).is_err(), "we are not uid 5");
    }
}
