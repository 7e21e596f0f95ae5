//! What a change of a policy grants and takes, in words.
//!
//! ```text
//!   old, new ── bind to the same stand-in agent ──► confinement: paths, execution, environment, limits, memory
//!           └── compile to tables ──► requests: every rule that came or went, tried with requests that it matches
//! ```
//!
//! Paths and limits are compared by what they come to, so a rule that moved or was written otherwise makes no
//! difference. A rule about actions that came or went is always listed; whether it grants or takes is what both policies
//! answer to the requests that are tried, and where none is answered otherwise, it says so.

mod confinement;
mod limits;
mod mediation;
mod requests;
mod words;

use std::fmt;

use crate::bind::BindError;
use crate::effective::Effective;
use crate::origin::Origin;
use crate::template::Variables;

/// Everything that differs between two policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The changes: what is granted first, then what is taken, then the rest.
    pub changes: Vec<Change>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether the agent gets more or less by it.
    pub direction: Direction,
    /// What changes, in one line.
    pub words: String,
    /// The rule that does it, in the new policy or, if it went, in the old one.
    pub origin: Option<Origin>,
}

/// Which way a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The agent may do more.
    Grants,
    /// The agent may do less.
    Takes,
    /// Neither, or both at once, or it cannot be said.
    Alters,
}

impl Diff {
    pub(crate) fn add(&mut self, direction: Direction, words: String, origin: Option<&Origin>) {
        let change = Change { direction, words, origin: origin.cloned() };
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    /// Whether the agent may do more in any respect.
    #[must_use]
    pub fn grants(&self) -> bool {
        self.changes.iter().any(|change| change.direction == Direction::Grants)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Grants => "grants",
            Self::Takes => "takes",
            Self::Alters => "alters",
        })
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return writeln!(f, "no difference in what they grant");
        }
        self.changes.iter().try_for_each(|change| writeln!(f, "{change}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7} {}", self.direction, self.words)?;
        self.origin.as_ref().map_or(Ok(()), |origin| write!(f, "  ({origin})"))
    }
}

/// What becomes of an agent when `new` takes the place of `old`.
///
/// ```
/// # use policies::{Shipped, diff, parse, resolve};
/// let policy = |text: &str| resolve(&parse("p.yaml", text).unwrap(), &Shipped).unwrap();
/// let old = policy("extends: [base]\n");
/// let new = policy("extends: [base]\nfilesystem: [{path: /opt/data, access: read}]\nprocess: {limits: {wall: 1h}}\n");
/// let difference = diff(&old, &new)?;
/// assert_eq!(
///     difference.to_string(),
///     "grants  reading /opt/data and what is beneath it  (p.yaml:2)\ntakes   wall: 2h → 1h  (p.yaml:3)\n"
/// );
/// # Ok::<(), policies::BindError>(())
/// ```
///
/// # Errors
/// One of the policies contradicts itself once paths are known.
pub fn diff(old: &Effective, new: &Effective) -> Result<Diff, BindError> {
    let agent = stand_in();
    let mut found = Diff::default();
    confinement::compare((old, &old.bind(&agent)?), (new, &new.bind(&agent)?), &mut found);
    mediation::compare(old, new, &mut found);
    requests::compare(old, new, &agent, &mut found)?;
    found.changes.sort_by_key(|change| change.direction);
    Ok(found)
}

fn towards<T: PartialOrd>(before: T, after: T) -> Direction {
    if after > before { Direction::Grants } else { Direction::Takes }
}

/// An agent whose paths read as the variables do, apart from the slash before them.
fn stand_in() -> Variables {
    Variables { workspace: Some("/${workspace}".into()), home: "/${home}".into(), name: "${name}".to_owned() }
}

/// A stand-in's path as it would be written.
fn written(path: &str) -> String {
    path.replace("/${workspace}", "${workspace}").replace("/${home}", "${home}")
}
