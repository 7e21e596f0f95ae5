//! The process `agentos-vfs`: reached on its socket, or started when nobody answers there.

use super::MemoryError;
use super::client;
use crate::journal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server that was started may take to answer, and one whose service manager may be starting it.
const START: Duration = Duration::from_secs(5);
const RESTART: Duration = Duration::from_secs(2);
/// Between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(2);
/// How long one that was told to end may take, and one whose connection has ended to be dead.
const END: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
const DEATH: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// The unit that starts it where there is a service manager.
const UNIT: &str = "/agentos-vfs.service";
/// Requests carry up to 16 MiB. With the allocator's own threshold each thread would keep a buffer of that size after its
/// first long one; with a fixed one it goes back to the kernel. Two arenas, because a thread a mount would get one each.
const ALLOCATOR: [(&str, &str); 2] = [("MALLOC_MMAP_THRESHOLD_", "1048576"), ("MALLOC_ARENA_MAX", "2")];

/// How the server is started.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) program: PathBuf,
    pub(super) socket: PathBuf,
    /// User and group that it becomes.
    pub(super) user: u32,
    /// Else it carries every byte itself.
    pub(super) passthrough: bool,
}

/// A server that answers.
#[derive(Debug)]
pub(super) struct Server {
    /// `None` when it is in a PID namespace beside ours.
    process: Option<OwnedFd>,
    child: Option<Child>,
    of_unit: bool,
}

impl Program {
    /// Reaches the server that is there, or starts one.
    pub(super) async fn reach(&self) -> Result<(OwnedFd, Server), MemoryError> {
        let patience = if unit_is_active() { RESTART } else { Duration::ZERO };
        if let Some(socket) = self.wait(patience, &mut None).await? {
            let server = Server::found(&socket, None);
            return Ok((socket, server));
        }
        let user = self.user.to_string();
        let mut command = Command::new(&self.program);
        command.arg("--socket").arg(&self.socket).args(["--user", &user, "--group", &user]);
        if !self.passthrough {
            command.arg("--no-passthrough");
        }
        // Ctrl-C on a daemon that was started by hand is for the daemon alone.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).env_clear().envs(ALLOCATOR);
        let fail = |source| MemoryError::Io { attempt: "start", path: self.program.clone(), source };
        let mut child = Some(command.spawn().map_err(fail)?);
        match self.wait(START, &mut child).await? {
            Some(socket) => {
                let server = Server::found(&socket, child);
                Ok((socket, server))
            }
            None => {
                if let Some(mut child) = child {
                    child.kill().and_then(|()| child.wait()).map_err(fail)?;
                }
                Err(MemoryError::Silent)
            }
        }
    }

    /// Nobody answers there any more.
    pub(super) fn forget(&self) {
        if let Err(error) = std::fs::remove_file(&self.socket) {
            journal::warning(format_args!("cannot remove {}: {error}", self.socket.display()));
        }
    }

    /// Tries until somebody answers, the time is up, or the child has ended.
    async fn wait(&self, patience: Duration, child: &mut Option<Child>) -> Result<Option<OwnedFd>, MemoryError> {
        let deadline = Instant::now() + patience;
        loop {
            if let Ok(socket) = client::reach(&self.socket) {
                return Ok(Some(socket));
            }
            let ended = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                *child = None;
                return Err(MemoryError::Ended { program: self.program.clone(), status });
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether a service manager looks after the server; it is the daemon's own manager then.
fn unit_is_active() -> bool {
    std::env::var_os("INVOCATION_ID").is_some()
}

impl Server {
    fn found(socket: &OwnedFd, child: Option<Child>) -> Self {
        // Of a listening socket's peer the kernel says who made it listen.
        let pid = socket_peercred(socket).ok().map(|peer| peer.pid);
        let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { process, child, of_unit: pid.is_some_and(is_units) }
    }

    /// Whether a daemon of ours has started it, this one or one before.
    pub(super) fn is_ours(&self) -> bool {
        !self.of_unit
    }

    /// Whether it is dead; reaps it then.
    pub(super) async fn has_ended(&mut self) -> bool {
        let Self { process, child, .. } = self;
        let ended = tokio::task::block_in_place(|| process.as_ref().is_none_or(|process| ends_within(process, DEATH)));
        if ended && let Some(mut child) = child.take() {
            reap(&mut child);
        }
        ended
    }

    /// Tells it to end, and sees to it.
    pub(super) async fn end(mut self) {
        tokio::task::block_in_place(|| {
            if let Some(process) = &self.process {
                // It may have ended meanwhile, which is what is wanted.
                pidfd_send_signal(process, Signal::TERM).ok();
                if !ends_within(process, END) {
                    journal::error(format_args!("agentos-vfs did not end and is killed"));
                    pidfd_send_signal(process, Signal::KILL).ok();
                }
            }
            if let Some(child) = &mut self.child {
                reap(child);
            }
        });
    }
}

fn is_units(pid: Pid) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).unwrap_or_default();
    text.lines().any(|line| line.ends_with(UNIT))
}

fn ends_within(process: &OwnedFd, patience: Timespec) -> bool {
    matches!(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&patience)), Ok(ended) if ended > 0)
}

fn reap(child: &mut Child) {
    if let Err(error) = child.wait() {
        journal::error(format_args!("cannot reap agentos-vfs: {error}"));
    }
}
