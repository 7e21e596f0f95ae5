//! What the daemon writes down of each agent for the daemon after it. Its stage keeps it, in memory and sealed, so that no
//! file can be lost, cut off or changed: whoever claims the stage has what the launch was decided by.

use crate::caller::Caller;
use crate::sealed;
use crate::store::Record;
use policies::Effective;
use sandbox::cgroup::{Cgroup, CgroupLimits};
use sandbox::plan::Plan;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::OwnedFd;

/// The version that is written; a daemon reads this one and those before.
pub(crate) const VERSION: u32 = 1;
/// Bytes that no memo has: a plan is bounded by what a stage takes, a policy by its own bound.
const MOST: u64 = 64 << 20;

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Memo {
    /// [`VERSION`] of whoever wrote it.
    pub(crate) version: u32,
    /// The record as it was at the launch.
    pub(crate) record: Record,
    /// Where the agent is held.
    pub(crate) cgroup: Cgroup,
    /// Who started it.
    pub(crate) caller: Caller,
    /// How it is confined.
    pub(crate) plan: Plan,
    /// The limits of its group.
    pub(crate) limits: CgroupLimits,
    /// The policy, as the files that made it.
    pub(crate) policy: PolicyText,
    /// `.agents/security.md` as it was.
    pub(crate) own_file: Option<String>,
    /// After how many milliseconds from its start it is killed, whatever its policy says.
    pub(crate) timeout_ms: Option<u64>,
    /// When it was started, in milliseconds of `CLOCK_MONOTONIC` (`clock_gettime(2)`), which daemons one after the other have
    /// in common and nobody sets.
    #[serde(default)]
    pub(crate) started_ms: Option<u64>,
}

/// `CLOCK_MONOTONIC` in milliseconds.
pub(crate) fn monotonic_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    seconds * 1000 + nanoseconds / 1_000_000
}

/// A policy as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PolicyText {
    /// The profile's name, or the document's.
    pub(crate) name: String,
    /// Origin and text of every file, parents first.
    pub(crate) sources: Vec<(String, String)>,
}

impl PolicyText {
    /// Of this policy.
    pub(crate) fn of(policy: &Effective) -> Self {
        let sources = policy.sources.iter().map(|source| (source.origin.to_string(), source.text.to_string()));
        Self { name: policy.name.clone(), sources: sources.collect() }
    }
}

impl Memo {
    /// As a stage keeps it.
    pub(crate) fn sealed(&self) -> io::Result<OwnedFd> {
        sealed::write("memo", &serde_json::to_vec(self)?)
    }

    /// What a stage has kept.
    pub(crate) fn read(file: OwnedFd) -> io::Result<Self> {
        Self::parse(&sealed::read(file, MOST)?)
    }

    /// From its bytes.
    pub(crate) fn parse(bytes: &[u8]) -> io::Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
        let wrong = |error: serde_json::Error| invalid(format!("a memo of an agent cannot be read: {error}"));
        let Versioned { version } = serde_json::from_slice(bytes).map_err(wrong)?;
        if version > VERSION {
            let message = format!("a memo of version {version} is a newer agentosd's; this one knows {VERSION}");
            return Err(invalid(message));
        }
        serde_json::from_slice(bytes).map_err(wrong)
    }
}
