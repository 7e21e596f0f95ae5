//! SIGSTOP for a whole group, so that no process escapes by forking.
//!
//! Under the freezer no process runs, so the list of processes is the whole list; each gets SIGSTOP, and when the
//! group thaws a process meets that signal before it executes another instruction in user mode (`get_signal()` in
//! kernel/signal.c). Signalling a moving process group instead misses children that are being forked.

use super::{Cgroup, CgroupError, PATIENCE, write};
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
    /// Stops every process of the group but `spare` (PID 1 inside, which is ours), and returns when all are stopped.
    ///
    /// # Errors
    /// [`CgroupError::TimedOut`] when a process does not stop in ten seconds; the signal stays pending then.
    pub fn stop(&self, spare: i32) -> Result<Stopped, CgroupError> {
        self.freeze()?;
        let stopped = self.signal_all(Signal::SIGSTOP, spare);
        // Thawed in any case: a group left frozen would not even die by its own limits.
        self.thaw()?;
        let processes = stopped?;
        self.wait_stopped(spare)?;
        Ok(Stopped { processes })
    }

    /// Continues every process of the group.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    pub fn cont(&self, spare: i32) -> Result<usize, CgroupError> {
        self.signal_all(Signal::SIGCONT, spare)
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

    fn wait_stopped(&self, spare: i32) -> Result<(), CgroupError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let moving = self.processes()?.into_iter().filter(|pid| *pid != spare).any(|pid| !at_rest(pid));
            if !moving {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(CgroupError::TimedOut { attempt: "stop", path: self.unified.clone(), after: PATIENCE });
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Stopped (T), traced (t), dead (Z, X), or in an uninterruptible wait (D) at whose end the pending stop is met.
fn at_rest(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    // The name in parentheses may hold anything, also spaces and parentheses.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't' | 'Z' | 'X' | 'D') | None)
}
