//! The control groups that hold an agent: one version 2 group for kill and freeze, and memory, pids and cpu either in
//! the same group or, on hybrid hosts, in one version 1 group a controller.
//!
//! ```text
//!   Hierarchies (found once) ── create(slot) ──► Cgroup ── limit / kill / stop / usage ──► remove
//! ```
//! Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel.

mod hierarchy;
mod stop;

pub use hierarchy::{ControllerSource, Hierarchies};
pub use stop::{Cancel, Stopped};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What could not be done with a control group.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file of the group could not be read or written.
    #[error("cannot {attempt} {}", path.display())]
    File {
        /// `read`, `create`, `write 1 to`, …
        attempt: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The host has no such controller.
    #[error(
        "this host has no cgroup controller {controller:?}, which the limit on {limit} needs; enable it on the kernel command line (cgroup_enable={controller}) or mount its hierarchy"
    )]
    NoController {
        /// `memory`, `pids`, `cpu`.
        controller: &'static str,
        /// What it limits.
        limit: &'static str,
    },
    /// The host has no cgroup version 2 hierarchy with `cgroup.kill`.
    #[error(
        "this host has no cgroup version 2 hierarchy with cgroup.kill (Linux 5.14 or newer); mount it: mount -t cgroup2 none /sys/fs/cgroup/unified"
    )]
    NoVersion2,
    /// Processes were still there when the time ran out.
    #[error("{} still holds processes {after:?} after {attempt}", path.display())]
    TimedOut {
        /// What was attempted.
        attempt: &'static str,
        /// The group.
        path: PathBuf,
        /// How long was waited.
        after: Duration,
    },
    /// Whoever asked has taken it back.
    #[error("the stop was cancelled")]
    Cancelled,
}

/// Limits of a group; every agent has the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// Bytes of memory: anonymous, tmpfs, memfd, page cache and kernel memory.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Thousandths of a processor.
    pub cpu_milli: Option<u64>,
}

/// Present use of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupUsage {
    /// Bytes charged.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Microseconds of processor time; 0 where no controller counts it.
    pub cpu_us: u64,
}

/// One agent's group, by the directories that make it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// The version 2 directory.
    unified: PathBuf,
    /// Version 1 directories; a controller that is absent here is in `unified`, or nowhere.
    memory_v1: Option<PathBuf>,
    pids_v1: Option<PathBuf>,
    cpu_v1: Option<PathBuf>,
    cpuacct_v1: Option<PathBuf>,
}

/// How long a killed or frozen group may take. The kernel needs milliseconds; a process in an uninterruptible wait more.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses between looks at a group's events.
const OFTEN: Duration = Duration::from_micros(100);
const RARELY: Duration = Duration::from_millis(100);

impl Cgroup {
    /// The version 2 directory, for `CLONE_INTO_CGROUP`.
    #[must_use]
    pub fn unified(&self) -> &Path {
        &self.unified
    }

    /// Every version 1 directory, without repetition (cpu and cpuacct are often one).
    #[must_use]
    pub fn version1(&self) -> Vec<&Path> {
        let all = [&self.memory_v1, &self.pids_v1, &self.cpu_v1, &self.cpuacct_v1];
        all.into_iter().flatten().map(PathBuf::as_path).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Every directory.
    #[must_use]
    pub fn directories(&self) -> Vec<&Path> {
        [self.unified.as_path()].into_iter().chain(self.version1()).collect()
    }

    fn memory(&self) -> &Path {
        self.memory_v1.as_deref().unwrap_or(&self.unified)
    }

    fn pids(&self) -> &Path {
        self.pids_v1.as_deref().unwrap_or(&self.unified)
    }

    /// Sets the limits.
    ///
    /// # Errors
    /// [`CgroupError::NoController`] when a limit has no controller on this host; [`CgroupError::File`].
    pub fn limit(&self, limits: &CgroupLimits) -> Result<(), CgroupError> {
        self.limit_memory(limits.memory)?;
        let pids_max = self.pids().join("pids.max");
        require(&pids_max, "pids", "processes")?;
        write(&pids_max, &limits.pids.to_string())?;
        match limits.cpu_milli {
            Some(milli) => self.limit_cpu(milli),
            None => Ok(()),
        }
    }

    fn limit_memory(&self, bytes: u64) -> Result<(), CgroupError> {
        let directory = self.memory();
        if self.memory_v1.is_some() {
            // Without swap accounting the second file is absent; then the group could swap past its limit only on hosts
            // that have swap and do not account it, which `doctor` names.
            let mut files = vec![directory.join("memory.limit_in_bytes")];
            let with_swap = directory.join("memory.memsw.limit_in_bytes");
            if with_swap.exists() {
                // The kernel refuses a moment in which the limit without swap is the larger one, so the one with swap
                // goes first when a group that had limits already gets wider ones.
                let wider = read(&with_swap)?.trim().parse().is_ok_and(|now: u64| now < bytes);
                files.insert(usize::from(!wider), with_swap);
            }
            files.iter().try_for_each(|file| write(file, &bytes.to_string()))?;
            return limit_sockets(directory, bytes);
        }
        let max = directory.join("memory.max");
        require(&max, "memory", "memory")?;
        write(&max, &bytes.to_string())?;
        let swap = directory.join("memory.swap.max");
        if swap.exists() { write(&swap, "0") } else { Ok(()) }
    }

    fn limit_cpu(&self, milli: u64) -> Result<(), CgroupError> {
        const PERIOD_US: u64 = 100_000;
        let quota = milli.saturating_mul(PERIOD_US / 1000);
        if let Some(directory) = &self.cpu_v1 {
            // A group of our making has the kernel's default period, which is this one; writing it would cost a wait.
            return write(&directory.join("cpu.cfs_quota_us"), &quota.to_string());
        }
        let max = self.unified.join("cpu.max");
        require(&max, "cpu", "processor time")?;
        write(&max, &format!("{quota} {PERIOD_US}"))
    }

    /// Kills every process in the group and returns when none is left. Frozen and stopped ones die too.
    ///
    /// # Errors
    /// [`CgroupError::TimedOut`] when a process is still there after ten seconds (an uninterruptible wait in the
    /// kernel); [`CgroupError::File`].
    pub fn kill(&self) -> Result<(), CgroupError> {
        write(&self.unified.join("cgroup.kill"), "1")?;
        // A kill is not taken back.
        self.wait_for_event("populated 0", "kill", &Cancel::default())
    }

    /// Whether any process is in the group.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    pub fn populated(&self) -> Result<bool, CgroupError> {
        Ok(!read(&self.unified.join("cgroup.events"))?.lines().any(|line| line == "populated 0"))
    }

    /// The processes in the group, as the reader's PID namespace numbers them.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        Ok(read(&self.unified.join("cgroup.procs"))?.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Waits for a line in `cgroup.events`. The kernel wakes pollers when the file changes, but at most every 10 ms
    /// (`cgroup_file_notify()`), so that at first looking often is what keeps the wait short.
    fn wait_for_event(&self, line: &str, attempt: &'static str, cancel: &Cancel) -> Result<(), CgroupError> {
        let path = self.unified.join("cgroup.events");
        let fail = |source| CgroupError::File { attempt: "read".into(), path: path.clone(), source };
        let mut file = fs::File::open(&path).map_err(fail)?;
        let start = Instant::now();
        let deadline = start + PATIENCE;
        loop {
            cancel.check()?;
            let mut text = String::new();
            file.rewind().map_err(fail)?;
            file.read_to_string(&mut text).map_err(fail)?;
            if text.lines().any(|found| found == line) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(CgroupError::TimedOut { attempt, path: self.unified.clone(), after: PATIENCE });
            }
            let pause = if start.elapsed() < Duration::from_millis(100) { OFTEN } else { RARELY };
            let timeout = Timespec::try_from(left.min(pause)).map_err(|e| fail(io::Error::other(e)))?;
            poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&timeout)).map_err(|e| fail(e.into()))?;
        }
    }

    /// Present use. A counter whose controller this host lacks is 0.
    ///
    /// # Errors
    /// [`CgroupError::File`] when the memory or pids counter cannot be read.
    pub fn usage(&self) -> Result<CgroupUsage, CgroupError> {
        let number = |path: PathBuf| read(&path).map(|text| text.trim().parse().unwrap_or(0));
        let memory_file = if self.memory_v1.is_some() { "memory.usage_in_bytes" } else { "memory.current" };
        let cpu_us = match &self.cpuacct_v1 {
            Some(directory) => number(directory.join("cpuacct.usage")).unwrap_or(0) / 1000,
            None => read(&self.unified.join("cpu.stat")).ok().and_then(|text| field(&text, "usage_usec")).unwrap_or(0),
        };
        Ok(CgroupUsage {
            memory: number(self.memory().join(memory_file))?,
            pids: number(self.pids().join("pids.current"))?,
            cpu_us,
        })
    }

    /// How many processes the kernel's out-of-memory killer has ended in the group.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let file = if self.memory_v1.is_some() { "memory.oom_control" } else { "memory.events" };
        Ok(field(&read(&self.memory().join(file))?, "oom_kill").unwrap_or(0))
    }

    /// Removes the group's directories; those that are gone already count as removed.
    ///
    /// # Errors
    /// [`CgroupError::File`] when one cannot be removed, for example because a process is still in it.
    pub fn remove(&self) -> Result<(), CgroupError> {
        self.directories().into_iter().try_for_each(remove_directory)
    }
}

/// Version 1 counts the buffers of TCP and UDP apart from the memory limit, and they come out of a pool that the whole
/// host shares (`net.ipv4.tcp_mem`): without a bound of their own, a loopback flood of one agent throttles the host.
fn limit_sockets(directory: &Path, memory: u64) -> Result<(), CgroupError> {
    const MOST: u64 = 64 << 20;
    let file = directory.join("memory.kmem.tcp.limit_in_bytes");
    // A kernel without it has no such buffers to count.
    if file.exists() { write(&file, &(memory / 4).min(MOST).to_string()) } else { Ok(()) }
}

/// Removes a group and, before it, groups that a process made beneath it.
fn remove_directory(path: &Path) -> Result<(), CgroupError> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(CgroupError::File { attempt: "remove".into(), path: path.to_owned(), source }),
    }
}

/// The number behind `key ` in a flat keyed file.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn require(path: &Path, controller: &'static str, limit: &'static str) -> Result<(), CgroupError> {
    if path.exists() { Ok(()) } else { Err(CgroupError::NoController { controller, limit }) }
}

fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::File {
        attempt: "read".into(),
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), CgroupError> {
    fs::write(path, text).map_err(|source| CgroupError::File {
        attempt: format!("write {text:?} to"),
        path: path.to_owned(),
        source,
    })
}
