//! While no daemon is there: the agent goes on, or not, as its plan says, until the next daemon claims it.

use super::super::step::{Attempt as _, Step};
use super::refusing::Refusing;
use super::{Main, Outer};
use crate::cgroup::Cancel;
use crate::message::{Holding, Kept, Receiver, Report};
use crate::plan::{Orphan, Stay, Then, WithoutDaemon};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// An absence that goes on.
#[derive(Debug)]
pub(super) struct Absence {
    began: Instant,
    /// What was done because it went on for too long.
    done: Option<Then>,
}

impl Outer {
    /// How the agent goes on without a daemon, if it does.
    fn stays(&self) -> Option<&Stay> {
        match &self.without_daemon {
            WithoutDaemon::Stay(stay) if self.main == Main::Started => Some(stay),
            WithoutDaemon::Stay(_) | WithoutDaemon::End => None,
        }
    }

    /// The daemon is gone; false when the agent ends with it.
    pub(super) fn lose_daemon(&mut self) -> bool {
        self.daemon = None;
        if self.stays().is_none() {
            return false;
        }
        self.absence.get_or_insert(Absence { began: Instant::now(), done: None });
        true
    }

    /// How long until the stage acts of its own accord.
    pub(super) fn patience(&self) -> Option<Duration> {
        let (orphan, absence) = self.orphan()?;
        let due = absence.began.checked_add(Duration::from_millis(orphan.after_ms))?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    fn orphan(&self) -> Option<(Orphan, &Absence)> {
        let absence = self.absence.as_ref().filter(|absence| absence.done.is_none())?;
        self.stays()?.orphan.map(|orphan| (orphan, absence))
    }

    /// Does what is due because no daemon came.
    pub(super) fn act_on_absence(&mut self) -> Step {
        let Some((Orphan { then, .. }, _)) = self.orphan() else { return Ok(()) };
        if self.patience() != Some(Duration::ZERO) {
            return Ok(());
        }
        if let Some(absence) = &mut self.absence {
            absence.done = Some(then);
        }
        let acted = match then {
            Then::Stop => self.cgroup.stop(self.init.pid, &Cancel::default()).map(drop),
            Then::Kill => self.cgroup.kill(),
        };
        // A stop that does not succeed is a kill.
        match acted {
            Err(_) if then == Then::Stop => self.cgroup.kill(),
            acted => acted,
        }
        .map_err(io::Error::other)
        .attempt("end an agent that no daemon has come back to")
    }

    /// The agent's listening socket, when those who connect are to be refused now.
    pub(super) fn refused_at(&self) -> Option<(BorrowedFd<'_>, &str)> {
        self.absence.as_ref()?;
        let refusal = self.stays()?.refusal.as_deref()?;
        let listener = self.kept.iter().find(|(what, _)| *what == Kept::Listener)?;
        Some((listener.1.as_fd(), refusal))
    }

    /// Tells those who ask that nobody decides now.
    pub(super) fn refuse(&mut self) {
        let mut refusing = std::mem::take(&mut self.refusing);
        if let Some((listener, refusal)) = self.refused_at() {
            refusing.go_on(listener, refusal);
            self.refusing = refusing;
        }
    }

    /// Looks whether a daemon claims the agent; true when one does. Before an agent runs there is nothing to claim.
    pub(super) fn take_claim(&mut self) -> Step<bool> {
        let Some(socket) = self.door.look() else { return Ok(false) };
        if self.stays().is_none() {
            return Ok(false);
        }
        (self.daemon, self.orders) = (Some(socket), Receiver::default());
        let absence = self.absence.take();
        // They find that the connection has ended, and ask the daemon.
        self.refusing = Refusing::default();
        let holding = Holding {
            kept: self.kept.iter().map(|(what, _)| *what).collect(),
            last: self.last,
            attached: self.running.get(&0).is_some_and(|main| main.streams.has_client()),
            output_spent: self.log.as_ref().is_some_and(|log| log.spent),
            ended: self.finished || self.main_status.is_some(),
            orphan: absence.as_ref().and_then(|absence| absence.done),
            absent_ms: absence.map_or(0, |a| u64::try_from(a.began.elapsed().as_millis()).unwrap_or(u64::MAX)),
        };
        let main = self.main_pidfd.as_ref().ok_or_else(|| io::Error::other("it has no main process"));
        let main = main.attempt("hand the agent over")?;
        let fds: Vec<BorrowedFd<'_>> = [self.init.pidfd.as_fd(), main.as_fd()]
            .into_iter()
            .chain(self.kept.iter().map(|(_, fd)| fd.as_fd()))
            .collect();
        let claimed = Report::Claimed(holding);
        self.tell(&claimed, &fds)?;
        self.tell_of_furthers()?;
        Ok(true)
    }

    /// Which further processes run, and which have ended while nobody heard of it.
    fn tell_of_furthers(&mut self) -> Step {
        let running: Vec<(u32, OwnedFd)> = self
            .running
            .iter()
            .filter(|(process, running)| **process != 0 && running.announced)
            .filter_map(|(process, running)| Some((*process, running.pidfd.as_ref()?.try_clone().ok()?)))
            .collect();
        for (process, pidfd) in running {
            self.tell(&Report::Started { process }, &[pidfd.as_fd()])?;
        }
        for (process, status) in std::mem::take(&mut self.unheard) {
            self.tell(&Report::Exited { process, status }, &[])?;
        }
        Ok(())
    }
}
