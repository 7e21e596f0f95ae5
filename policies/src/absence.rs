//! `without_daemon`: what becomes of an agent while no agentosd is there.

use std::fmt;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::merge::override_with;
use crate::origin::Rule;
use crate::parse::Document;
use crate::schema::present;
use crate::time_span::TimeSpan;

/// `without_daemon`, as far as one file sets it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithoutDaemonEntries {
    #[serde(default, deserialize_with = "present")]
    requests: Option<Spanned<Requests>>,
    #[serde(default, deserialize_with = "present")]
    orphan_after: Option<Spanned<TimeSpan>>,
    #[serde(default, deserialize_with = "present")]
    orphan: Option<Spanned<Orphaned>>,
}

/// What becomes of the agent while no daemon is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WithoutDaemon {
    /// What becomes of what it asks for; [`Requests::Wait`] when the policy does not say.
    pub requests: Option<Rule<Requests>>,
    /// How long no daemon may be there.
    pub orphan_after: Option<Rule<TimeSpan>>,
    /// What happens then; [`Orphaned::Keep`] when the policy does not say.
    pub orphan: Option<Rule<Orphaned>>,
}

/// What becomes of what an agent asks for while nobody can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requests {
    /// It waits for the next daemon.
    Wait,
    /// It is refused at once.
    Refuse,
}

/// What happens to an agent that no daemon has come back to in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orphaned {
    /// It goes on, confined as before.
    Keep,
    /// Every process of it is stopped, until the next daemon continues it.
    Stop,
    /// Every process of it is killed.
    Kill,
}

/// How long no daemon may be there when a policy says what happens then and not when: ten minutes.
const ORPHAN_AFTER_SECONDS: u64 = 600;

impl WithoutDaemon {
    /// Takes over what a further file says; of each key the later one stands.
    pub(crate) fn add(&mut self, document: &Document, entries: &WithoutDaemonEntries) {
        override_with(&mut self.requests, document, entries.requests.as_ref(), |requests| *requests);
        override_with(&mut self.orphan_after, document, entries.orphan_after.as_ref(), |span| *span);
        override_with(&mut self.orphan, document, entries.orphan.as_ref(), |orphan| *orphan);
    }

    /// What becomes of what it asks for.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.requests.as_ref().map_or(Requests::Wait, |rule| rule.value)
    }

    /// What happens when no daemon comes back, and after how many seconds.
    ///
    /// ```
    /// let text = "extends: [base]\nwithout_daemon: {orphan: stop, orphan_after: 5m}\n";
    /// let policy = policies::resolve(&policies::parse("x.yaml", text)?, &policies::Shipped)?;
    /// assert_eq!(policy.without_daemon.orphan(), (policies::Orphaned::Stop, 300));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn orphan(&self) -> (Orphaned, u64) {
        let after = self.orphan_after.as_ref().map_or(ORPHAN_AFTER_SECONDS, |rule| rule.value.seconds());
        (self.orphan.as_ref().map_or(Orphaned::Keep, |rule| rule.value), after)
    }
}

impl fmt::Display for WithoutDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.orphan() {
            (Orphaned::Keep, _) => write!(f, "requests {}, orphan keep", self.requests()),
            (orphan, after) => write!(f, "requests {}, orphan {orphan} after {after} s", self.requests()),
        }
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "wait",
            Self::Refuse => "refuse",
        })
    }
}

impl fmt::Display for Orphaned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Stop => "stop",
            Self::Kill => "kill",
        })
    }
}
