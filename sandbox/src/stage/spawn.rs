//! Forking a process of the agent from PID 1: it becomes the agent's user, takes its streams and executes its program.

use super::step::{Attempt as _, Step};
use crate::message::{Failure, send};
use crate::plan::{Process, Window};
use crate::sys::clone::{Side, exit_now, fork};
use crate::sys::signal::reset_all;
use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Gid, Uid, ioctl_tiocsctty, setsid, umask};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{Winsize, tcsetwinsize};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

/// Whom the child becomes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// What the child says before it executes its program; the socket's end without a failure means that it did.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ChildReport {
    /// It has a terminal. Descriptor: the master.
    Terminal,
    /// It could not go on, and exits.
    Failed(Failure),
}

/// Forks and executes. `fds` are the report socket, then standard input, output and error unless it has a terminal.
pub(super) fn spawn(what: &Process, who: Who, fds: Vec<OwnedFd>) -> Step<(i32, OwnedFd)> {
    let (report, streams) = match fds.split_first() {
        Some((report, streams)) => (report, streams),
        None => return Err(io::Error::other("the report socket is missing")).attempt("start a process"),
    };
    // Everything that allocates much or may fail on what was asked happens before the fork.
    let program = Program::new(what)?;
    match fork(CloneFlags::empty()).attempt("fork (the limit on processes is reached)")? {
        Side::Parent { pidfd, pid } => Ok((pid, pidfd)),
        Side::Child => {
            let failure = match become_agent(what, who, streams, report.as_fd()) {
                Ok(()) => program.execute(),
                Err(error) => error.into(),
            };
            // The outer half takes the end of the socket for success, so that a lost message must not be an exit of 0.
            drop(send(report.as_fd(), &ChildReport::Failed(failure), &[]));
            exit_now(127)
        }
    }
}

/// A new session, so that no terminal but its own is its controlling one; then the identity, since a terminal must
/// belong to the agent and the working directory must be one that the agent may enter.
fn become_agent(what: &Process, who: Who, streams: &[OwnedFd], report: BorrowedFd<'_>) -> Step {
    setsid().attempt("make a session")?;
    let (uid, gid) = (Uid::from_raw(who.uid), Gid::from_raw(who.gid));
    set_thread_res_gid(gid, gid, gid).attempt("take the agent's group")?;
    set_thread_res_uid(uid, uid, uid).attempt("take the agent's user")?;
    match (what.terminal, streams) {
        (Some(window), _) => take_terminal(window, report)?,
        (None, [input, output, error]) => take_streams(input, output, error)?,
        (None, _) => return Err(io::Error::other("standard streams are missing")).attempt("start a process"),
    }
    umask(Mode::from_raw_mode(0o022));
    std::env::set_current_dir(&what.cwd).attempt_on("enter the working directory", &what.cwd)?;
    reset_all().attempt("reset signals")
}

fn take_streams(input: &OwnedFd, output: &OwnedFd, error: &OwnedFd) -> Step {
    dup2_stdin(input).attempt("take standard input")?;
    dup2_stdout(output).attempt("take standard output")?;
    dup2_stderr(error).attempt("take standard error")
}

/// A terminal of the agent's own devpts; the master goes outside.
fn take_terminal(window: Window, report: BorrowedFd<'_>) -> Step {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/ptmx", flags, Mode::empty()).attempt("open a terminal")?;
    unlockpt(&master).attempt("unlock the terminal")?;
    let terminal = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY).attempt("open the terminal")?;
    let size = Winsize { ws_row: window.rows, ws_col: window.cols, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).attempt("set the terminal's size")?;
    ioctl_tiocsctty(&terminal).attempt("take the terminal")?;
    send(report, &ChildReport::Terminal, &[master.as_fd()]).attempt("hand the terminal over")?;
    take_streams(&terminal, &terminal, &terminal)
}

/// A program with everything `execve(2)` needs.
struct Program {
    candidates: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    fn new(what: &Process) -> Step<Self> {
        let strings =
            |texts: &[String]| -> Step<Vec<CString>> { texts.iter().map(|text| c_string(text.as_bytes())).collect() };
        let argv = strings(&what.argv)?;
        let Some(first) = what.argv.first() else {
            return Err(io::Error::other("the command is empty")).attempt("start a process");
        };
        let candidates = if first.contains('/') { vec![c_string(first.as_bytes())?] } else { lookup(first, what)? };
        Ok(Self { candidates, argv, env: strings(&what.env)? })
    }

    /// Returns only when no candidate could be executed. As a shell does, it goes on past names that are absent and
    /// reports "not permitted" before "not found".
    fn execute(&self) -> Failure {
        let mut errno = libc::ENOENT;
        for candidate in &self.candidates {
            match execute(candidate, &self.argv, &self.env) {
                nix::Error::ENOENT | nix::Error::ENOTDIR => {}
                nix::Error::EACCES => errno = libc::EACCES,
                other => return Failure::Exec { errno: other as i32 },
            }
        }
        Failure::Exec { errno }
    }
}

fn execute(path: &CStr, argv: &[CString], env: &[CString]) -> nix::Error {
    match nix::unistd::execve(path, argv, env) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn lookup(name: &str, what: &Process) -> Step<Vec<CString>> {
    let path = what.env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or("/usr/bin");
    let directories = path.split(':').filter(|directory| directory.starts_with('/'));
    directories.map(|directory| c_string(std::path::Path::new(directory).join(name).as_os_str().as_bytes())).collect()
}

fn c_string(bytes: &[u8]) -> Step<CString> {
    CString::new(bytes).map_err(io::Error::other).attempt("pass a string that holds a NUL byte")
}
