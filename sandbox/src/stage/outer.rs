//! The outer half: carries out orders, pumps streams, and reports. Root, single-threaded, outside the agent's cgroup.

mod end;
mod launch;
mod process;
mod remount;
mod spare;

use super::inner;
use super::prepare::{Init, prepare};
use super::step::{Attempt as _, Step, StepError};
use super::streams::{Clients, Log};
use super::template::Furnished;
use crate::message::{Failure, Order, ProcessNumber, Received, Receiver, Report, Sending, send};
use crate::plan::{Identity, Template};
use process::Running;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

/// Everything the outer half holds.
struct Outer<'a> {
    daemon: &'a OwnedFd,
    orders: Receiver,
    init: Init,
    /// Orders to PID 1 that its socket did not take yet: it reads nothing while the agent is stopped.
    asked: VecDeque<Sending>,
    reports: Receiver,
    template: Template,
    /// The template in its place, until the launch.
    furnished: Option<Furnished>,
    /// When the host's mounts are looked at again.
    next_look: Instant,
    /// Set by the launch.
    agent: Identity,
    log: Option<Log>,
    running: BTreeMap<ProcessNumber, Running>,
    main_status: Option<i32>,
    /// Only PID 1 is left inside.
    alone: bool,
    spent_reported: bool,
    main: Main,
}

/// What the daemon has heard of the main process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Main {
    Unsaid,
    Started,
    Failed,
}

/// Runs the outer half until the agent has ended or the daemon is gone.
///
/// # Errors
/// When the socket to the daemon fails.
pub(super) fn run(daemon: &OwnedFd) -> io::Result<()> {
    let mut orders = Receiver::default();
    let (cgroup, template) = match orders.receive(daemon)? {
        Received::Message(Order::Prepare { cgroup, template }, _) => (cgroup, template),
        Received::End => return Ok(()),
        other => return Err(io::Error::other(format!("the first order is {other:?}"))),
    };
    let init = match prepare(&cgroup) {
        Ok(init) => init,
        Err(error) => return report_failure(daemon, error),
    };
    let agent = Identity { uid: 0, gid: 0 };
    let mut outer = Outer {
        daemon,
        orders,
        init,
        asked: VecDeque::new(),
        reports: Receiver::default(),
        template,
        furnished: None,
        next_look: Instant::now(),
        agent,
        log: None,
        running: BTreeMap::new(),
        main_status: None,
        alone: false,
        spent_reported: false,
        main: Main::Unsaid,
    };
    let result = match outer.enter() {
        Ok(()) => outer.serve(),
        Err(error) => Err(error),
    };
    if outer.alone {
        outer.wait_for_dismissal()?;
    }
    // Whatever happened: nothing inside outlives the stage.
    outer.end_init()?;
    match result {
        Ok(()) => Ok(()),
        Err(error) => report_failure(daemon, error),
    }
}

fn report_failure(daemon: &OwnedFd, error: StepError) -> io::Result<()> {
    send(daemon.as_fd(), &Report::Failed { process: 0, failure: error.into() }, &[])
}

/// What a round of waiting found ready.
struct Ready {
    daemon: bool,
    init_socket: bool,
    init_takes: bool,
    init_ended: bool,
    mounts: bool,
}

impl Outer<'_> {
    /// The loop of the outer half's life.
    fn serve(&mut self) -> Step {
        loop {
            let ready = self.wait()?;
            // Before a launch, which relies on it.
            if ready.mounts {
                self.furnished.iter_mut().for_each(Furnished::suspect);
            }
            if ready.init_socket {
                self.take_report()?;
            }
            if ready.init_takes {
                self.go_on_asking()?;
            }
            if ready.daemon && !self.take_order()? {
                return Ok(());
            }
            if ready.mounts {
                self.refresh()?;
            }
            self.pump()?;
            // PID 1's own end takes the kernel a moment (it unmounts everything), for which nobody has to wait.
            if ready.init_ended || self.alone {
                return self.finish();
            }
        }
    }

    fn wait(&self) -> Step<Ready> {
        let asked = if self.asked.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut fds = vec![
            PollFd::new(self.daemon, PollFlags::IN),
            PollFd::new(&self.init.socket, asked),
            PollFd::new(&self.init.pidfd, PollFlags::IN),
        ];
        let spent = self.log.as_ref().is_some_and(|log| log.spent);
        let interests: Vec<_> = self.running.values().flat_map(|running| running.interests(spent)).collect();
        fds.extend(interests.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)));
        let watched = self.watched();
        let watch = fds.len();
        fds.extend(watched.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)));
        // A client that does not read may delay the report of an exit, and a spare may rest from watching; nothing wakes
        // the poll when their time is up.
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        let resting = self.furnished.is_some() && watched.is_none();
        let timeout = (resting || self.running.values().any(Running::leaving)).then_some(&second);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).attempt("wait"),
        }
        let found = |index: usize| fds.get(index).map_or(PollFlags::empty(), PollFd::revents);
        let ready = |index: usize| !found(index).difference(PollFlags::OUT).is_empty();
        let init_takes = found(1).contains(PollFlags::OUT);
        Ok(Ready { daemon: ready(0), init_socket: ready(1), init_takes, init_ended: ready(2), mounts: ready(watch) })
    }

    /// Carries out one order; false when the daemon is gone.
    fn take_order(&mut self) -> Step<bool> {
        let (order, fds) = match self.orders.receive(self.daemon).attempt("read an order")? {
            Received::Message(order, fds) => (order, fds),
            Received::Nothing => return Ok(true),
            Received::End => return Ok(false),
        };
        match order {
            Order::Served => return Err(io::Error::other("nothing waits for it")).attempt("mount the agent's files"),
            Order::Prepare { .. } => return Err(io::Error::other("it is prepared already")).attempt("prepare"),
            Order::Launch { plan } => self.launch(&plan, fds).map_err(|error| self.explained(error))?,
            Order::Spawn { process, what } => self.spawn(process, what, fds)?,
            Order::Attach { process } => {
                let clients = Clients::new(fds)?;
                self.with(process, |running| running.streams.attach(clients));
            }
            Order::Detach { process } => self.with(process, |running| running.streams.detach()),
            Order::RenewOutput => {
                self.log.iter_mut().for_each(Log::renew);
                self.spent_reported = false;
            }
            Order::Remount { parts } => self.remount(&parts)?,
            Order::Resize { process, window } => {
                return self.running.get(&process).map_or(Ok(true), |running| running.resize(window).map(|()| true));
            }
        }
        Ok(true)
    }

    /// A process may have ended before an order about it arrived; then there is nothing to do.
    fn with(&mut self, process: ProcessNumber, act: impl FnOnce(&mut Running)) {
        if let Some(running) = self.running.get_mut(&process) {
            act(running);
        }
    }

    /// Takes one report; false when there is none.
    fn take_report(&mut self) -> Step<bool> {
        match self.reports.receive(&self.init.socket).attempt("read PID 1's report")? {
            Received::Message(inner::Report::Forked { process }, mut fds) => {
                let pidfd = fds.pop();
                self.with(process, |running| running.pidfd = pidfd);
            }
            Received::Message(inner::Report::NotForked { process, failure }, _) => {
                self.with(process, |running| running.failure = Some(failure));
            }
            Received::Message(inner::Report::Exited { process: 0, status, alone }, _) => {
                (self.main_status, self.alone) = (Some(status), alone);
            }
            Received::Message(inner::Report::Exited { process, status, .. }, _) => {
                self.with(process, |running| running.exit(status));
            }
            Received::Message(inner::Report::Failed(failure), _) => self.fail(failure)?,
            Received::Message(inner::Report::Done, _) => {}
            // Its pidfd says that PID 1 has ended, and why nothing more comes.
            Received::Nothing | Received::End => return Ok(false),
        }
        Ok(true)
    }

    /// PID 1 could not go on, and is gone: the daemon hears the cause, and everything inside is ended.
    fn fail(&mut self, failure: Failure) -> Step {
        self.main = Main::Failed;
        self.tell(&Report::Failed { process: 0, failure }, &[])
    }

    /// Moves bytes, and reports what came of it.
    fn pump(&mut self) -> Step {
        let Some(log) = &mut self.log else { return Ok(()) };
        let mut news = Vec::new();
        for (process, running) in &mut self.running {
            running.progress(*process, log, &mut news)?;
        }
        if log.spent && !self.spent_reported {
            self.spent_reported = true;
            news.push((Report::OutputSpent, None));
        }
        for (report, fd) in &news {
            match report {
                Report::Started { process: 0 } => self.main = Main::Started,
                Report::Failed { process: 0, .. } => self.main = Main::Failed,
                _ => {}
            }
            let fds: Vec<_> = fd.iter().map(std::os::fd::AsFd::as_fd).collect();
            self.tell(report, &fds)?;
        }
        self.running.retain(|_, running| !running.done);
        Ok(())
    }

    /// PID 1 ends when it fails, and an order to it then fails too; what it said before it ended is the cause.
    fn explained(&mut self, error: StepError) -> StepError {
        let mut fds = [PollFd::new(&self.init.socket, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        while matches!(poll(&mut fds, Some(&now)), Ok(1)) {
            match self.reports.receive(&self.init.socket) {
                Ok(Received::Message(inner::Report::Failed(failure), _)) => return StepError::Inside(failure),
                Ok(Received::Message(..)) => {}
                Ok(Received::Nothing | Received::End) | Err(_) => return error,
            }
        }
        error
    }

    fn tell(&self, report: &Report, fds: &[std::os::fd::BorrowedFd<'_>]) -> Step {
        send(self.daemon.as_fd(), report, fds).attempt("report to the daemon")
    }

    fn ask(&self, order: &inner::Order, fds: Vec<OwnedFd>) -> Step {
        let borrowed: Vec<_> = fds.iter().map(std::os::fd::AsFd::as_fd).collect();
        send(self.init.socket.as_fd(), order, &borrowed).attempt("give PID 1 an order")
    }

    /// Gives an order without waiting for PID 1 to read it.
    fn ask_later(&mut self, order: &inner::Order, fds: Vec<OwnedFd>) -> Step {
        self.asked.push_back(Sending::new(order, fds).attempt("give PID 1 an order")?);
        self.go_on_asking()
    }

    fn go_on_asking(&mut self) -> Step {
        while let Some(first) = self.asked.front_mut() {
            match first.go_on(self.init.socket.as_fd()) {
                Ok(true) => drop(self.asked.pop_front()),
                Ok(false) => return Ok(()),
                // It has ended, which its pidfd says too, and then nothing is to be asked of it.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.asked.clear(),
                Err(error) => return Err(error).attempt("give PID 1 an order"),
            }
        }
        Ok(())
    }

    /// Waits until PID 1 has carried out an order.
    fn confirm(&mut self) -> Step {
        match self.reports.receive(&self.init.socket).attempt("read PID 1's report")? {
            Received::Message(inner::Report::Done, _) => Ok(()),
            Received::Message(inner::Report::Failed(failure), _) => Err(StepError::Inside(failure)),
            other => Err(io::Error::other(format!("{other:?}"))).attempt("confine PID 1"),
        }
    }
}
