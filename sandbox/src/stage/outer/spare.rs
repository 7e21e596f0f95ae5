//! A stage before its launch: PID 1 in its namespaces, with the template in its root.

use super::super::inner;
use super::super::sources::{self, Showing};
use super::super::step::Step;
use super::super::template::{self, Furnished, Rest};
use super::super::trees;
use super::Outer;
use crate::message::Report;
use crate::plan::Plan;
use std::os::fd::AsFd as _;

impl Outer {
    pub(super) fn enter(&mut self) -> Step {
        self.ask(&inner::Order::Enter, Vec::new())?;
        self.confirm()?;
        self.init.hold_mounts()?;
        self.furnish()?;
        self.tell(&Report::Prepared, &[self.init.pidfd.as_fd()])
    }

    /// Places the template. One that cannot be opened now is left out: it only saves time, and a launch that needs it
    /// says what is missing.
    fn furnish(&mut self) -> Step {
        let Ok(sources) = sources::open_all(Showing::template(&self.template)) else { return Ok(()) };
        let sources = template::lasting(sources);
        if sources.is_empty() {
            return Ok(());
        }
        let furnished = Furnished::of(&sources);
        let rules = furnished.rules(&self.template.rules);
        let nobody = Showing::template(&self.template).agent;
        self.place(trees::make(sources, nobody)?)?;
        self.ask(&inner::Order::Rules(rules), Vec::new())?;
        self.confirm()?;
        self.furnished = Some(furnished);
        Ok(())
    }

    /// A file system that the host has unmounted must not be kept busy by a spare, and a new one is to be shown.
    pub(super) fn renew(&mut self) -> Step {
        if self.furnished.take().is_none() {
            return Ok(());
        }
        self.ask(&inner::Order::Renew, Vec::new())?;
        self.furnish()
    }

    /// Makes the plan's view whole, on what the template has of it or from nothing.
    pub(super) fn show(&mut self, plan: &Plan) -> Step {
        let showing = Showing::of(plan);
        let left = match self.furnished.take() {
            None => sources::open_all(showing)?,
            Some(furnished) => {
                // PID 1 places these while the sources are opened here.
                let early = furnished.early(showing);
                self.ask(&inner::Order::Place(early.clone()), Vec::new())?;
                match furnished.rest(sources::open_all(showing)?, &early) {
                    Rest::Some(left) => left,
                    Rest::Everything(all) => {
                        self.ask(&inner::Order::Renew, Vec::new())?;
                        all
                    }
                }
            }
        };
        self.place(trees::make(left, plan.agent)?)
    }
}
