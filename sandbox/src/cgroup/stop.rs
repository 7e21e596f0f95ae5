//! SIGSTOP for a whole group, so that no process escapes by forking.
//!
//! Under the freezer no process runs, so the list of processes is the whole list; each gets SIGSTOP, and when the
//! group thaws a process meets that signal before it executes another instruction in user mode (`get_signal()` in
//! kernel/signal.c). The group is then frozen again and stays so. Signalling a moving process group instead misses children that are being forked.

use super::{Cgroup, CgroupError, write};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a stop reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Processes that were sent SIGSTOP.
    pub processes: usize,
}

/// Takes back a stop that is under way. Its steps and [`Self::cancel`] exclude each other: what was cancelled changes
/// nothing of the group any more, and signals nobody whose number may be another's since a kill.
#[derive(Debug, Default)]
pub struct Cancel {
    cancelled: Mutex<bool>,
}

impl Cancel {
    /// Returns when no step is being done and none will be. No step waits for a process.
    pub fn cancel(&self) {
        *self.lock() = true;
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step<T>(&self, act: impl FnOnce() -> Result<T, CgroupError>) -> Result<T, CgroupError> {
        let cancelled = self.lock();
        if *cancelled { Err(CgroupError::Cancelled) } else { act() }
    }

    /// While waiting.
    pub(super) fn check(&self) -> Result<(), CgroupError> {
        self.step(|| Ok(()))
    }
}

impl Cgroup {
    /// Stops every process of the group but `spare` (PID 1 inside, which is ours), and leaves the group frozen.
    ///
    /// Each process takes its SIGSTOP in a moment of thaw, which makes it visibly stopped (state T). The freezer then
    /// holds it there: a process can have arranged for the kernel to send it SIGCONT (a timer, a terminal, a queue), and
    /// one that keeps waking itself in this way is held by the freezer alone.
    ///
    /// # Errors
    /// [`CgroupError::TimedOut`] when the group does not freeze in ten seconds (an uninterruptible wait in the kernel),
    /// and [`CgroupError::File`]: then the group is continued. [`CgroupError::Cancelled`]: then whoever cancelled it says
    /// what becomes of the group.
    pub fn stop(&self, spare: i32, cancel: &Cancel) -> Result<Stopped, CgroupError> {
        self.try_stop(spare, cancel).map_err(|error| match cancel.step(|| self.cont(spare)) {
            Ok(_) | Err(CgroupError::Cancelled) => error,
            Err(worse) => worse,
        })
    }

    fn try_stop(&self, spare: i32, cancel: &Cancel) -> Result<Stopped, CgroupError> {
        self.freeze(cancel)?;
        let processes = cancel.step(|| self.signal_all(Signal::SIGSTOP, spare))?;
        cancel.step(|| self.thaw())?;
        self.wait_stopped(spare, cancel)?;
        self.freeze(cancel)?;
        Ok(Stopped { processes })
    }

    /// Continues every process of the group. The signal is pending when the group thaws, so that all go on together.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    pub fn cont(&self, spare: i32) -> Result<usize, CgroupError> {
        let continued = self.signal_all(Signal::SIGCONT, spare)?;
        self.thaw()?;
        Ok(continued)
    }

    /// Whether the group is stopped: [`Self::stop`] leaves it frozen, and when it was cut off in the middle every process but
    /// `spare` has its SIGSTOP.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    pub fn is_stopped(&self, spare: i32) -> Result<bool, CgroupError> {
        if super::read(&self.unified.join("cgroup.freeze"))?.trim() == "1" {
            return Ok(true);
        }
        let others: Vec<i32> = self.processes()?.into_iter().filter(|pid| *pid != spare).collect();
        Ok(!others.is_empty() && others.into_iter().all(|pid| state(pid) == Some('T')))
    }

    fn freeze(&self, cancel: &Cancel) -> Result<(), CgroupError> {
        cancel.step(|| write(&self.unified.join("cgroup.freeze"), "1"))?;
        self.wait_for_event("frozen 1", "freeze", cancel)
    }

    fn thaw(&self) -> Result<(), CgroupError> {
        write(&self.unified.join("cgroup.freeze"), "0")
    }

    fn signal_all(&self, signal: Signal, spare: i32) -> Result<usize, CgroupError> {
        let processes = self.processes()?;
        // A process that died meanwhile needs no signal; its number cannot be another's while the group is frozen.
        Ok(processes
            .into_iter()
            .filter(|pid| *pid != spare)
            .filter(|pid| kill(Pid::from_raw(*pid), signal).is_ok())
            .count())
    }

    /// Gives the processes a moment to take their signal; the freezer does not depend on it.
    fn wait_stopped(&self, spare: i32, cancel: &Cancel) -> Result<(), CgroupError> {
        let deadline = Instant::now() + MOMENT;
        loop {
            cancel.check()?;
            let moving = self.processes()?.into_iter().filter(|pid| *pid != spare).any(|pid| !at_rest(pid));
            if !moving || Instant::now() > deadline {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// A thousand processes take a tenth of this.
const MOMENT: Duration = Duration::from_secs(1);

/// Stopped (T), traced (t), dead (Z, X), or in an uninterruptible wait (D) at whose end the pending stop is met.
fn at_rest(pid: i32) -> bool {
    matches!(state(pid), Some('T' | 't' | 'Z' | 'X' | 'D') | None)
}

/// The letter of a process's state (proc_pid_stat(5)).
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also spaces and parentheses.
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
}
