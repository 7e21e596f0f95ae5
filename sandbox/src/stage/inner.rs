//! PID 1 inside: builds its root, confines itself, then starts processes when told to, and reaps.

use super::landlock::Rules;
use super::root::{self, Placed};
use super::step::{Attempt as _, Step};
use super::{confine, spawn};
use crate::message::{Failure, ProcessNumber, Received, Receiver, send};
use crate::plan::{Plan, Process, Rule};
use crate::seccomp::Filters;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, WaitOptions, wait};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

/// What the outer half orders.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Leave the host, for an empty root. Answered.
    Enter,
    /// Put these into the root. Descriptors: one mount tree for each [`Placed::Tree`], in order.
    Place(Vec<Placed>),
    /// The template is in its place: prepare its rules. Answered.
    Rules(Vec<Rule>),
    /// The template is not what is needed: an empty root again.
    Renew,
    /// The view is whole: take every power away. Answered.
    Confine(Box<Plan>),
    /// Start a process. Descriptors: the report socket, then standard input, output and error unless it has a terminal.
    Spawn { process: ProcessNumber, what: Process, uid: u32, gid: u32 },
}

/// What PID 1 reports.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// An order was carried out.
    Done,
    /// It was not, and PID 1 exits.
    Failed(Failure),
    /// A process was forked. Descriptor: its pidfd.
    Forked { process: ProcessNumber },
    /// No process could be forked (the pids limit); PID 1 goes on.
    NotForked { process: ProcessNumber, failure: Failure },
    /// A process ended; `alone` when PID 1 has no child left, so that nothing else lives in the namespace.
    Exited { process: ProcessNumber, status: i32, alone: bool },
}

/// What PID 1 holds.
struct Inner<'a> {
    socket: OwnedFd,
    /// Until it is entered.
    nursery: Option<OwnedFd>,
    /// From then on, until PID 1 is confined.
    ground: Option<root::Ground>,
    filters: &'a Filters,
    /// The template's rules, until they are needed or the root is made anew.
    prepared: Option<Rules>,
    running: HashMap<i32, ProcessNumber>,
}

/// Runs PID 1 to its end; the value is its exit status.
pub(super) fn run(socket: OwnedFd, filters: &Filters, (groups, nursery): (&[&Path], OwnedFd)) -> u8 {
    let mut inner =
        Inner { socket, nursery: Some(nursery), ground: None, filters, prepared: None, running: HashMap::new() };
    match join(groups).and_then(|()| inner.serve()) {
        Ok(()) => 0,
        Err(error) => {
            // Nobody reads it when the outer half is gone, and then nothing needs to be said.
            drop(send(inner.socket.as_fd(), &Report::Failed(error.into()), &[]));
            1
        }
    }
}

/// Joins version 1 groups, in which a process cannot be born. A thread that moves itself by `tasks` takes no lock of the
/// host's; a move by `cgroup.procs`, or of another process, waits for an RCU grace period and holds up every fork on the
/// host meanwhile (`cgroup_procs_write_start()`). PID 1 has one thread.
fn join(groups: &[&Path]) -> Step {
    groups.iter().try_for_each(|group| std::fs::write(group.join("tasks"), "0").attempt_on("join the cgroup", group))
}

fn not_there() -> io::Error {
    io::Error::other("PID 1 is not where this could be done")
}

fn children_signal() -> Step<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set.thread_block().map_err(io::Error::from).attempt("block SIGCHLD")?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(io::Error::from)
        .attempt("make a signalfd")
}

impl Inner<'_> {
    fn serve(&mut self) -> Step {
        let children = children_signal()?;
        let mut receiver = Receiver::default();
        loop {
            let mut waiting = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&children, PollFlags::IN)];
            match poll(&mut waiting, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).attempt("wait for orders"),
            }
            let (orders, deaths) = (!waiting[0].revents().is_empty(), !waiting[1].revents().is_empty());
            if deaths {
                // What it says is not needed: every child that has ended is asked for by `wait`.
                children.read_signal().map_err(io::Error::from).attempt("read a signal")?;
                if self.reap()? {
                    return Ok(());
                }
            }
            if orders {
                match receiver.receive(&self.socket).attempt("read an order")? {
                    Received::Message(order, fds) => self.carry_out(order, fds)?,
                    Received::Nothing => {}
                    // The outer half is gone; PID 1's exit ends everything inside.
                    Received::End => return Ok(()),
                }
            }
        }
    }

    fn carry_out(&mut self, order: Order, fds: Vec<OwnedFd>) -> Step {
        match order {
            Order::Enter => {
                self.enter()?;
                confine::confine_early()?;
                self.done()
            }
            Order::Place(things) => root::place(things, fds),
            Order::Rules(rules) => {
                self.prepared = Some(Rules::new(&rules)?);
                self.done()
            }
            Order::Renew => {
                self.prepared = None;
                let ground = self.ground.as_ref().ok_or_else(not_there).attempt("make the root anew")?;
                root::renew(ground)
            }
            Order::Confine(plan) => {
                self.ground = None;
                confine::confine(&plan, self.prepared.take(), self.filters)?;
                self.done()
            }
            Order::Spawn { process, what, uid, gid } => self.spawn(process, &what, (spawn::Who { uid, gid }, fds)),
        }
    }

    fn enter(&mut self) -> Step {
        let nursery = self.nursery.take().ok_or_else(not_there).attempt("leave the host")?;
        let ground = root::leave_host(&nursery)?;
        root::make_empty(&ground)?;
        // The daemon's socket and log were there.
        let nothing =
            rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).attempt("open /dev/null")?;
        dup2_stdin(&nothing).attempt("leave the daemon's streams")?;
        dup2_stdout(&nothing).attempt("leave the daemon's streams")?;
        dup2_stderr(&nothing).attempt("leave the daemon's streams")?;
        self.ground = Some(ground);
        Ok(())
    }

    fn spawn(&mut self, process: ProcessNumber, what: &Process, (who, fds): (spawn::Who, Vec<OwnedFd>)) -> Step {
        match spawn::spawn(what, who, fds) {
            Ok((pid, pidfd)) => {
                self.running.insert(pid, process);
                let report = Report::Forked { process };
                send(self.socket.as_fd(), &report, &[pidfd.as_fd()]).attempt("report a process")
            }
            Err(error) => {
                let report = Report::NotForked { process, failure: Failure::from(error) };
                send(self.socket.as_fd(), &report, &[]).attempt("report a failure")
            }
        }
    }

    fn done(&self) -> Step {
        send(self.socket.as_fd(), &Report::Done, &[]).attempt("report")
    }

    /// Reaps all that ended; true when the main process did and left others behind, whom PID 1's exit ends. When it left
    /// nobody, PID 1 waits for its own end, which is not urgent: the kernel then unmounts everything, and whoever waits for
    /// the agent's exit would wait for the processors that this takes.
    fn reap(&mut self) -> Step<bool> {
        let mut ended = Vec::new();
        let alone = loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let process = self.running.remove(&Pid::as_raw(Some(pid)));
                    ended.extend(process.map(|process| (process, status.as_raw())));
                }
                Ok(None) => break false,
                Err(rustix::io::Errno::CHILD) => break true,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).attempt("reap"),
            }
        };
        // The main process last: nothing is said of the others after it.
        ended.sort_by_key(|(process, _)| std::cmp::Reverse(*process));
        for (process, status) in &ended {
            let report = Report::Exited { process: *process, status: *status, alone };
            send(self.socket.as_fd(), &report, &[]).attempt("report an exit")?;
        }
        Ok(!alone && ended.iter().any(|(process, _)| *process == 0))
    }
}
