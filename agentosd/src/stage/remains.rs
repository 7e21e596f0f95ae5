//! What is left of a stage, until it is cleared away.

use super::StageError;
use crate::journal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use sandbox::cgroup::Cgroup;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

/// How long a stage that was told to end may take.
const END_PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// What must be cleared away, and how far it is from gone.
#[derive(Debug)]
pub(super) struct Remains {
    /// The stage's pidfd.
    pub(super) process: OwnedFd,
    pub(super) cgroup: Cgroup,
    /// Where it listens.
    pub(super) place: PathBuf,
}

impl Remains {
    pub(super) async fn bury_on_a_thread(self) {
        if let Err(error) = tokio::task::spawn_blocking(move || self.bury_or_say()).await {
            journal::error(format_args!("cannot clear away an ended agent: {error}"));
        }
    }

    pub(super) fn bury_or_say(self) {
        if let Err(error) = self.bury() {
            journal::error(format_args!("cannot clear away an ended agent: {}", journal::sentence(&error)));
        }
    }

    fn bury(self) -> Result<(), StageError> {
        // It reaps PID 1 before it ends; killed earlier it would leave that to the host's PID 1.
        let ended =
            poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&END_PATIENCE)).map_err(io::Error::from)?;
        if ended == 0 {
            journal::error(format_args!("the stage of {} did not end and is killed", self.place.display()));
            pidfd_send_signal(&self.process, Signal::KILL).map_err(io::Error::from)?;
        }
        match waitid(WaitId::PidFd(self.process.as_fd()), WaitIdOptions::EXITED) {
            // Another daemon's child, which the host's PID 1 reaps.
            Ok(_) | Err(Errno::CHILD) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        match std::fs::remove_file(&self.place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        if self.cgroup.populated()? {
            self.cgroup.kill()?;
        }
        Ok(self.cgroup.remove()?)
    }
}
