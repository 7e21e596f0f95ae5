//! SIGSTOP for a whole group, so that no process escapes by forking.
//!
//! Under the freezer no process runs, so the list of processes is the whole list; each gets SIGSTOP, and when the
//! group thaws a process meets that signal before it executes another instruction in user mode (`get_signal()` in
//! kernel/signal.c). The group is then frozen again and stays so. Signalling a moving process group instead misses children that are being forked.

use super::{Cgroup, CgroupError, write};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// What a stop reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Processes that were sent SIGSTOP.
    pub processes: usize,
}

impl Cgroup {
    /// Stops every process of the group but `spare` (PID 1 inside, which is ours), and leaves the group frozen.
    ///
    /// Each process takes its SIGSTOP in a moment of thaw, which makes it visibly stopped (state T). The freezer then
    /// holds it there: a process can have arranged for the kernel to send it SIGCONT (a timer, a terminal, a queue), and
    /// one that keeps waking itself in this way is held by the freezer alone.
    ///
    /// # Errors
    /// [`CgroupError::TimedOut`] when the group does not freeze in ten seconds; [`CgroupError::File`].
    pub fn stop(&self, spare: i32) -> Result<Stopped, CgroupError> {
        self.freeze()?;
        let processes = self.signal_all(Signal::SIGSTOP, spare)?;
        self.thaw()?;
        self.wait_stopped(spare)?;
        self.freeze()?;
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

    fn freeze(&self) -> Result<(), CgroupError> {
        write(&self.unified.join("cgroup.freeze"), "1")?;
        self.wait_for_event("frozen 1", "freeze")
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
    fn wait_stopped(&self, spare: i32) -> Result<(), CgroupError> {
        let deadline = Instant::now() + MOMENT;
        loop {
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
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    // The name in parentheses may hold anything, also spaces and parentheses.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't' | 'Z' | 'X' | 'D') | None)
}
