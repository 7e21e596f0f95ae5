//! Processes as the host's /proc shows them.

use std::{fs, os::unix::ffi::OsStrExt, path::Path};

use anyhow::{Context, Result};

/// SIGSTOP in the sets of /proc/PID/status: signal N is bit N - 1.
const SIGSTOP_BIT: u64 = 1 << 18;

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    /// Its number on the host.
    pub(crate) pid: u32,
    /// Its name, which it can choose.
    pub(crate) name: String,
    /// R, S, D, T, Z, …
    pub(crate) state: char,
    uid: Option<u32>,
    stop_pending: bool,
    command: Vec<u8>,
}

impl Process {
    /// Whether it stands still until SIGCONT. A process in vfork(2) waits for its child uninterruptibly (`kernel_clone`
    /// in the kernel): if the child is stopped before it could exec, the parent keeps state D with its SIGSTOP pending.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state == 'T' || (self.state == 'D' && self.stop_pending)
    }
}

/// Every living process whose real uid is `uid`; a zombie has ended, whoever has yet to notice.
pub(crate) fn of_uid(uid: u32) -> Result<Vec<Process>> {
    Ok(all()?.into_iter().filter(|process| process.uid == Some(uid) && !matches!(process.state, 'Z' | 'X')).collect())
}

/// Every process whose command line names `path`.
pub(crate) fn naming(path: &Path) -> Result<Vec<Process>> {
    let path = path.as_os_str().as_bytes();
    Ok(all()?.into_iter().filter(|process| process.command.windows(path.len()).any(|part| part == path)).collect())
}

fn all() -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("failed to list /proc")? {
        let entry = entry.context("failed to list /proc")?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ended since the listing is simply not there.
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()).unwrap_or_default()
        };
        let state = field("State").chars().next().unwrap_or('?');
        let pending = |name| u64::from_str_radix(field(name), 16).is_ok_and(|set| set & SIGSTOP_BIT != 0);
        let stop_pending = pending("SigPnd") || pending("ShdPnd");
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        found.push(Process {
            pid,
            name: field("Name").to_owned(),
            state,
            uid: field("Uid").parse().ok(),
            stop_pending,
            command,
        });
    }
    Ok(found)
}

/// The state of the process `pid`; none if there is no such process.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may contain anything, so the state is found from the right.
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Names and numbers, for a message.
pub(crate) fn list(processes: &[Process]) -> String {
    let each = processes.iter().map(|process| format!("{} {} ({})", process.pid, process.name, process.state));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process};

    #[test]
    fn this_process_is_found_and_moves() {
        let uid = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").expect("/proc"));
        let me =
            of_uid(uid).expect("/proc").into_iter().find(|process| process.pid == process::id()).expect("this one");
        assert!(!me.is_stopped());
        assert!(state(process::id()).is_some());
        assert_eq!(state(u32::MAX), None);
    }
}
