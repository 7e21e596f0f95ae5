//! Parts mounted anew while the agent runs, by a child that enters the agent's mount namespace and ends.

use super::super::parts;
use super::super::step::{Attempt as _, Step, StepError};
use super::super::trees::View;
use super::Outer;
use crate::message::{Failure, Received, Receiver, Report, send};
use crate::plan::Part;
use crate::sys::clone::{Side, exit_now, fork};
use crate::sys::signal::die_with_parent;
use nix::sched::{CloneFlags, setns};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

impl Outer {
    /// A failure is the daemon's to judge; the stage and the agent go on.
    pub(super) fn remount(&mut self, parts: &[Part]) -> Step {
        let replaced = parts::make(parts, self.agent).and_then(|view| self.replace_inside(view));
        self.tell(&Report::Remounted { failure: replaced.err().map(Failure::from) }, &[])
    }

    fn replace_inside(&self, view: View) -> Step {
        let Some(namespace) = &self.init.mounts else {
            return Err(io::Error::other("PID 1 has none yet")).attempt("enter the agent's mounts");
        };
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .attempt("make a socket pair")?;
        let Side::Parent { pidfd, .. } = fork(CloneFlags::empty()).attempt("fork")? else {
            if let Err(error) = replace(namespace.as_fd(), view) {
                // The exit status says that it failed, should this not arrive.
                drop(send(theirs.as_fd(), &Failure::from(error), &[]));
                exit_now(1);
            }
            exit_now(0);
        };
        drop(theirs);
        let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).attempt("reap")?;
        match Receiver::default().receive::<Failure>(&ours) {
            Ok(Received::Message(failure, _)) => Err(StepError::Inside(failure)),
            _ if status.and_then(|status| status.exit_status()) == Some(0) => Ok(()),
            _ => Err(io::Error::other("its child ended")).attempt("mount anew"),
        }
    }
}

fn replace(namespace: BorrowedFd<'_>, view: View) -> Step {
    die_with_parent().attempt("tie the child to the stage")?;
    setns(namespace, CloneFlags::CLONE_NEWNS).map_err(io::Error::from).attempt("enter the agent's mounts")?;
    parts::replace(view)
}
