//! What the host says of processes: read in its own /proc and cgroup files.

use std::fs;
use std::path::{Path, PathBuf};

/// True while `pid` is a process; a zombie is one.
#[must_use]
pub fn process_exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The state letter of `pid` (R, S, D, T, t, Z, …); `None` when it is gone.
#[must_use]
pub fn process_state(pid: i32) -> Option<char> {
    // The name in parentheses may hold anything, also parentheses and blanks.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The children of the main thread of `pid` (proc_pid_task_tid_children(5)).
#[must_use]
pub fn children(pid: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// A line of `/proc/PID/status` by its key; `None` when the process is gone.
#[must_use]
pub fn status_line(pid: i32, key: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.map(|value| value.trim().to_owned())
}

/// Program and arguments of `pid`; nothing when it is gone.
#[must_use]
pub fn command_line(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Every process of the host, zombies too.
#[must_use]
pub fn all_processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("the host has /proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Every process that has a uid within `range` as any of its real, effective, saved or file system uids.
#[must_use]
pub fn processes_of(range: &std::ops::Range<u32>) -> Vec<i32> {
    let belongs = |pid: &i32| {
        let uids = status_line(*pid, "Uid").unwrap_or_default();
        uids.split_whitespace().filter_map(|uid| uid.parse().ok()).any(|uid: u32| range.contains(&uid))
    };
    all_processes().into_iter().filter(belongs).collect()
}

/// Every process of `uid`.
#[must_use]
pub fn uid_processes(uid: u32) -> Vec<i32> {
    processes_of(&(uid..uid + 1))
}

/// Every process in one of `cgroups` or beneath, without duplicates; none for a directory that is gone.
#[must_use]
pub fn cgroup_processes(cgroups: &[PathBuf]) -> Vec<i32> {
    let mut found = Vec::new();
    let mut directories: Vec<PathBuf> = cgroups.to_vec();
    while let Some(directory) = directories.pop() {
        let listed = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        found.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        directories.extend(entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
    }
    found.sort_unstable();
    found.dedup();
    found
}
