//! The launch: the view is made outside, placed inside, PID 1 confines itself, and the main process starts.

use super::super::inner;
use super::super::output_log::Log;
use super::super::parts;
use super::super::root::Placed;
use super::super::step::{Attempt as _, Step};
use super::super::streams::{Clients, Streams};
use super::super::trees::View;
use super::Outer;
use super::process::Running;
use crate::message::{MAX_FDS, Order, ProcessNumber, Received};
use crate::plan::{Plan, Process};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::os::fd::OwnedFd;

/// Things of a view in one message; each brings at most one descriptor.
const BATCH: usize = 8;
const _: () = assert!(BATCH <= MAX_FDS, "a batch fits beside a message");

impl Outer {
    pub(super) fn launch(&mut self, plan: &Plan, mut fds: Vec<OwnedFd>) -> Step {
        if fds.is_empty() {
            return Err(io::Error::other("the log file is missing")).attempt("launch");
        }
        self.log = Some(Log::new(fds.remove(0), plan.output_limit));
        self.agent = plan.agent;
        self.without_daemon = plan.without_daemon.clone();
        self.show(plan)?;
        if !plan.parts.is_empty() {
            self.wait_until_served()?;
            self.place(parts::make(&plan.parts, plan.agent)?)?;
        }
        // PID 1 has the view already and gets the process next.
        let mut rest = plan.clone();
        rest.view.clear();
        rest.parts.clear();
        rest.process.env.clear();
        self.ask(&inner::Order::Confine(Box::new(rest)), Vec::new())?;
        // Not waited for: PID 1 carries out one order after the other, and one that failed ends it.
        self.spawn(0, plan.process.clone(), fds)
    }

    /// Everything else is placed by now.
    fn wait_until_served(&mut self) -> Step {
        loop {
            match self.order()? {
                Received::Message(Order::Keep { kept }, fds) => self.kept = kept.into_iter().zip(fds).collect(),
                Received::Message(Order::Served, _) => return Ok(()),
                Received::End => {
                    return Err(io::Error::other("agentosd has let go of the stage"))
                        .attempt("mount the agent's files");
                }
                other => return Err(io::Error::other(format!("{other:?}"))).attempt("mount the agent's files"),
            }
        }
    }

    /// Hands the view over in small batches: PID 1 places one while the next is made, and only so many descriptors fit
    /// beside a message.
    pub(super) fn place(&self, view: View) -> Step {
        let (mut things, mut trees): (Vec<Placed>, Vec<OwnedFd>) = (Vec::new(), Vec::new());
        for (thing, tree) in view {
            things.push(thing);
            trees.extend(tree);
            if things.len() == BATCH {
                self.ask(&inner::Order::Place(std::mem::take(&mut things)), std::mem::take(&mut trees))?;
            }
        }
        self.ask(&inner::Order::Place(things), trees)
    }

    pub(super) fn spawn(&mut self, process: ProcessNumber, what: Process, fds: Vec<OwnedFd>) -> Step {
        let clients = Clients::new(fds)?;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .attempt("make a socket pair")?;
        let owner = (self.agent.uid, self.agent.gid);
        let (streams, ends) = match what.terminal {
            Some(_) => (Streams::awaiting_terminal(clients), Vec::new()),
            None => {
                let (streams, ends) = Streams::pipes(clients, what.keep_stdin, owner)?;
                (streams, ends.into())
            }
        };
        self.last = self.last.max(process);
        self.running.insert(process, Running::new(ours, streams));
        let fds = std::iter::once(theirs).chain(ends).collect();
        self.ask_later(&inner::Order::Spawn { process, what, uid: self.agent.uid, gid: self.agent.gid }, fds)
    }
}
