//! Forbidden acts and spent budgets: what counts as one, and how the agent's policy answers. Pure.
//!
//! ```text
//!   kernel's denial log ── Denial ──► Tripwire::of ──┐
//!   clock, output, processor time ──► Budgets ───────┼──► Raised ──► the agent's task: notice, answer, event
//!   gate ── Counters ────────────────────────────────┘               (by Answers)
//! ```
//! What the kernel refused is refused whatever is decided here; an answer can only be more than that.

mod answers;
mod budgets;
mod counters;
mod tripwire;

pub(crate) use answers::Answers;
pub(crate) use budgets::{Budget, Budgets};
pub use counters::{ActionBudgets, Counters, Spent};
pub use tripwire::{Tripwire, touches};

use protocol::audit::StoppedBy;
use protocol::denial::{Denial, Layer};
use protocol::signal::KernelSignal;

/// A tripwire that was touched, and the refusal that says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Touched {
    /// Which.
    pub tripwire: Tripwire,
    /// What the kernel said.
    pub denial: Denial,
}

/// A violation before it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raised {
    /// What is raised.
    pub(crate) signal: KernelSignal,
    /// What happened.
    pub(crate) what: String,
    /// Which rule it broke.
    pub(crate) rule: String,
    /// What refused it, or holds the limit.
    pub(crate) stopped_by: StoppedBy,
    /// Who did it.
    pub(crate) pid: Option<i32>,
    /// Which program.
    pub(crate) exe: Option<String>,
}

impl From<Touched> for Raised {
    fn from(touched: Touched) -> Self {
        let Touched { tripwire, denial } = touched;
        let stopped_by = match denial.layer {
            Layer::Landlock => StoppedBy::Landlock,
            Layer::Seccomp => StoppedBy::Seccomp,
        };
        let rule = format!("tripwire {}", tripwire.name());
        let (signal, what) = (KernelSignal::Policy, denial.sentence);
        Self { signal, what, rule, stopped_by, pid: denial.pid, exe: denial.exe }
    }
}

impl Raised {
    /// A limit that is reached.
    pub(crate) fn of_limit(what: String, rule: &str, stopped_by: StoppedBy) -> Self {
        let (signal, rule) = (KernelSignal::Budget, rule.to_owned());
        Self { signal, what, rule, stopped_by, pid: None, exe: None }
    }

    /// Forbidden acts that are only counted.
    pub(crate) fn more(what: String) -> Self {
        let (signal, stopped_by) = (KernelSignal::Policy, StoppedBy::Other);
        Self { signal, what, rule: "tripwires".to_owned(), stopped_by, pid: None, exe: None }
    }

    /// In one sentence, for the record of an end and for a review.
    pub(crate) fn sentence(&self) -> String {
        let process = self.pid.map(|pid| format!("process {pid}"));
        let who: Vec<String> = process.into_iter().chain(self.exe.clone()).chain([self.rule.clone()]).collect();
        format!("{} ({})", self.what, who.join(", "))
    }
}
