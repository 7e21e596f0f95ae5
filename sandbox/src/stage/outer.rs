//! The outer half: carries out orders, pumps streams, and reports. Root, single-threaded, outside the agent's cgroup.

mod absence;
mod claim;
mod end;
mod launch;
mod process;
mod refusing;
mod remount;
mod spare;
mod waiting;

use super::inner;
use super::output_log::Log;
use super::prepare::{Init, prepare};
use super::step::{Attempt as _, Step, StepError};
use super::streams::Clients;
use super::template::Furnished;
use crate::cgroup::Cgroup;
use crate::message::{Failure, Kept, Order, ProcessNumber, Received, Receiver, Report, Sending, send};
use crate::plan::{Identity, Template, WithoutDaemon};
use absence::Absence;
use claim::Door;
use process::Running;
use refusing::Refusing;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Everything the outer half holds.
struct Outer {
    /// `None` while there is none.
    daemon: Option<OwnedFd>,
    orders: Receiver,
    /// Where the next daemon comes.
    door: Door,
    absence: Option<Absence>,
    /// Who is refused meanwhile.
    refusing: Refusing,
    without_daemon: WithoutDaemon,
    /// For the next daemon.
    kept: Vec<(Kept, OwnedFd)>,
    cgroup: Cgroup,
    init: Init,
    /// Orders to PID 1 that its socket did not take yet: it reads nothing while the agent is stopped.
    asked: VecDeque<Sending>,
    reports: Receiver,
    template: Template,
    /// The template in its place, until the launch.
    furnished: Option<Furnished>,
    /// Set by the launch.
    agent: Identity,
    log: Option<Log>,
    running: BTreeMap<ProcessNumber, Running>,
    /// The last further process.
    last: ProcessNumber,
    /// Further processes that have ended while no daemon was there.
    unheard: Vec<(ProcessNumber, i32)>,
    main_pidfd: Option<OwnedFd>,
    main_status: Option<i32>,
    /// Nothing of the agent lives any more, and its streams are drained.
    finished: bool,
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

/// Runs the outer half until it is dismissed, or the daemon is gone and nothing shall stay.
///
/// # Errors
/// When the socket to the daemon fails.
pub(super) fn run(daemon: OwnedFd) -> io::Result<()> {
    let mut orders = Receiver::default();
    let (cgroup, template, claim, nursery) = match orders.receive(&daemon)? {
        Received::Message(Order::Prepare { cgroup, template, claim }, mut fds) => {
            let nursery = fds.pop().ok_or_else(|| io::Error::other("the first order comes without the nursery"))?;
            (cgroup, template, claim, nursery)
        }
        Received::End => return Ok(()),
        other => return Err(io::Error::other(format!("the first order is {other:?}"))),
    };
    // The door comes second: PID 1 is a copy, and has none of it.
    let prepared = prepare(&cgroup, nursery).and_then(|init| Ok((init, Door::open(&claim)?)));
    let (init, door) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return report_failure(Some(&daemon), error),
    };
    let agent = Identity { uid: 0, gid: 0 };
    let mut outer = Outer {
        daemon: Some(daemon),
        orders,
        door,
        absence: None,
        refusing: Refusing::default(),
        without_daemon: WithoutDaemon::End,
        kept: Vec::new(),
        cgroup,
        init,
        asked: VecDeque::new(),
        reports: Receiver::default(),
        template,
        furnished: None,
        agent,
        log: None,
        running: BTreeMap::new(),
        last: 0,
        unheard: Vec::new(),
        main_pidfd: None,
        main_status: None,
        finished: false,
        alone: false,
        spent_reported: false,
        main: Main::Unsaid,
    };
    let result = match outer.enter() {
        Ok(()) => outer.serve(),
        Err(error) => Err(error),
    };
    // Whatever happened: nothing inside outlives the stage.
    outer.end_init()?;
    match result {
        Ok(()) => Ok(()),
        Err(error) => report_failure(outer.daemon.as_ref(), error),
    }
}

/// The last words of a stage that cannot go on.
fn report_failure(daemon: Option<&OwnedFd>, error: StepError) -> io::Result<()> {
    let Some(daemon) = daemon else { return Err(io::Error::other(Failure::from(error))) };
    send(daemon.as_fd(), &Report::Failed { process: 0, failure: error.into() }, &[])
}

impl Outer {
    /// The loop of the outer half's life.
    fn serve(&mut self) -> Step {
        loop {
            let ready = self.wait()?;
            if ready.init_socket {
                self.take_report()?;
            }
            if ready.init_takes {
                self.go_on_asking()?;
            }
            if ready.daemon && !self.take_order()? {
                return Ok(());
            }
            if ready.claim {
                self.take_claim()?;
            }
            if ready.refused {
                self.refuse();
            }
            self.act_on_absence()?;
            self.pump()?;
            // PID 1's own end takes the kernel a moment (it unmounts everything), for which nobody has to wait.
            if ready.init_ended || self.alone {
                return self.finish();
            }
        }
    }

    /// The next order; `None` when the daemon is gone, or there is none.
    fn order(&mut self) -> Step<Received<Order>> {
        let Some(daemon) = &self.daemon else { return Ok(Received::End) };
        self.orders.receive(daemon).attempt("read an order")
    }

    /// Carries out one order; false when the stage is to end.
    fn take_order(&mut self) -> Step<bool> {
        let (order, fds) = match self.order()? {
            Received::Message(order, fds) => (order, fds),
            Received::Nothing => return Ok(true),
            Received::End => return Ok(self.lose_daemon()),
        };
        match order {
            Order::Dismiss => return Ok(false),
            Order::Renew => self.renew()?,
            Order::Keep { kept } => self.kept = kept.into_iter().zip(fds).collect(),
            Order::Claim { .. } => return Err(io::Error::other("it is claimed already")).attempt("be claimed"),
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
                Report::Started { process: 0 } => {
                    self.main = Main::Started;
                    self.main_pidfd = fd.as_ref().and_then(|fd| fd.try_clone().ok());
                }
                Report::Failed { process: 0, .. } => self.main = Main::Failed,
                Report::Exited { process, status } if self.daemon.is_none() => self.unheard.push((*process, *status)),
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

    /// Tells the daemon, if one is there. One that is just gone is missed when its orders are looked for.
    fn tell(&self, report: &Report, fds: &[BorrowedFd<'_>]) -> Step {
        let Some(daemon) = &self.daemon else { return Ok(()) };
        match send(daemon.as_fd(), report, fds) {
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(()),
            told => told.attempt("report to the daemon"),
        }
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
