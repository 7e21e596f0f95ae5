//! Whose refusal it was, and how many there were.
//!
//! An agent is known by its host uid, which no other agent has and which it cannot leave, and by the Landlock domain
//! that its PID 1 made. Refusals of anybody else are dropped here. Nothing in this module grows with what an agent does.
//!
//! The kernel names a domain's maker at its first refusal, so the domain of an agent is the policy's once it was seen to
//! be PID 1's, and never by exclusion: what was lost or forgotten makes no refusal the policy's.

use super::event::{By, Event, Refusal};
use super::record::Object;
use super::words::{Source, denial};
use super::{Progress, Registration, system_call};
use crate::violation::{self, Touched, Tripwire};
use protocol::denial::{Completeness, Denial};
use std::collections::{HashMap, VecDeque};
use tokio::sync::mpsc::error::TrySendError;

/// Denials that reach an agent's list; later ones are only counted.
pub const LIST_LENGTH: u64 = 10_000;
/// Bytes of text in an agent's list; a path may be 4096 bytes long, and thousands of such would fill the disk.
pub const LIST_BYTES: usize = 4 << 20;
/// Domains remembered that an agent's other processes made. They only make a sentence more exact.
const NESTED: usize = 64;

/// One registered agent.
struct Agent {
    registration: Registration,
    progress: Progress,
    bytes: usize,
    /// The kernel's count at the domain's end.
    counted: Option<u64>,
    /// [`Ledger::losses`] when it was registered.
    losses: u64,
    /// Listened to from the start, so that silence means something.
    from_start: bool,
    /// The last domains that its other processes made.
    nested: VecDeque<u64>,
    /// A domain refused whose maker is not known.
    unknown: bool,
}

/// All registered agents.
#[derive(Default)]
pub(super) struct Ledger {
    agents: HashMap<u32, Agent>,
    by_domain: HashMap<u64, u32>,
    by_init: HashMap<i32, u32>,
    /// Counts occasions on which records were lost, whosever they were.
    losses: u64,
}

impl Ledger {
    pub(super) fn register(&mut self, registration: Registration) {
        let (uid, init, from_start) = (registration.uid, registration.init_pid, registration.resume.is_none());
        let progress = registration.resume.unwrap_or_default();
        self.forget(uid);
        let agent = Agent {
            registration,
            progress,
            bytes: 0,
            counted: None,
            losses: self.losses,
            from_start,
            nested: VecDeque::new(),
            unknown: false,
        };
        self.agents.insert(uid, agent);
        self.by_init.insert(init, uid);
        if let Some(domain) = progress.domain {
            self.own(uid, domain);
        }
    }

    /// Drops the agent.
    pub(super) fn forget(&mut self, uid: u32) {
        let Some(agent) = self.agents.remove(&uid) else { return };
        // The number may already be another agent's.
        let init = agent.registration.init_pid;
        if self.by_init.get(&init) == Some(&uid) {
            self.by_init.remove(&init);
        }
        if let Some(domain) = agent.progress.domain {
            self.by_domain.remove(&domain);
        }
    }

    fn own(&mut self, uid: u32, domain: u64) {
        if let Some(agent) = self.agents.get_mut(&uid) {
            agent.progress.domain = Some(domain);
            self.by_domain.insert(domain, uid);
        }
    }

    /// Records were lost before they reached us.
    pub(super) fn lost(&mut self) {
        self.losses += 1;
    }

    /// Takes what the kernel said.
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Refused(refusal) => self.refused(refusal),
            Event::DomainAllocated { domain, pid, uid } => match self.by_init.get(&pid) {
                // The first is the confinement; PID 1 makes no second one.
                Some(&own) if self.agents.get(&own).is_some_and(|agent| agent.progress.domain.is_none()) => {
                    self.own(own, domain);
                }
                _ => self.agents.get_mut(&uid).into_iter().for_each(|agent| agent.remember(domain)),
            },
            Event::DomainDeallocated { domain, denials } => {
                let uid = self.by_domain.get(&domain);
                if let Some(agent) = uid.and_then(|uid| self.agents.get_mut(uid)) {
                    agent.counted = Some(denials);
                }
            }
            Event::SequencePoint(_) => {}
        }
    }

    fn refused(&mut self, refusal: Refusal) {
        let is_the_policys = |code| refusal.call.as_ref().is_some_and(|call| system_call::is_the_policys(code, call));
        if matches!(refusal.by, By::Seccomp(code) if !is_the_policys(code)) {
            return;
        }
        let Some(uid) = self.whose(&refusal) else { return };
        if let Some(agent) = self.agents.get_mut(&uid) {
            agent.list(refusal);
        }
    }

    fn whose(&self, refusal: &Refusal) -> Option<u32> {
        if let By::Landlock(access) = &refusal.by
            && let Some(uid) = self.by_domain.get(&access.domain)
        {
            return Some(*uid);
        }
        let process = refusal.process.as_ref()?;
        // PID 1 inside runs under a uid that all agents share.
        let uid = Some(process.uid).filter(|uid| self.agents.contains_key(uid));
        uid.or_else(|| self.by_init.get(&process.pid).copied())
    }

    /// How far an agent's list is.
    pub(super) fn progress(&self, uid: u32) -> Option<Progress> {
        self.agents.get(&uid).map(|agent| agent.progress)
    }

    /// Whether nothing more can come for an agent whose processes are dead, given that all records up to now are in:
    /// its domain is gone, or it never refused anything.
    pub(super) fn settled(&self, uid: u32) -> bool {
        self.agents.get(&uid).is_none_or(|agent| agent.counted.is_some() || agent.progress.domain.is_none())
    }

    /// Whether the list is whole. `caught_up`: a sequence point that was set after the agent's death has been read.
    pub(super) fn completeness(&self, uid: u32, caught_up: bool) -> Option<Completeness> {
        let agent = self.agents.get(&uid)?;
        let listed = agent.progress.landlock;
        Some(match (agent.progress.domain, agent.counted) {
            (Some(_), Some(counted)) if counted == listed => Completeness::Complete { counted },
            // The kernel counts a domain only once it refused something.
            (None, _) if caught_up && agent.undisturbed(self.losses) => Completeness::Complete { counted: 0 },
            (_, counted) => Completeness::Incomplete { listed, counted },
        })
    }

    /// An agent's own Landlock domain, once it is known.
    pub(super) fn domain(&self, uid: u32) -> Option<u64> {
        self.agents.get(&uid)?.progress.domain
    }
}

impl Agent {
    /// Whether a record of ours, had there been one, must have been seen.
    fn undisturbed(&self, losses: u64) -> bool {
        self.from_start && self.losses == losses && self.progress.landlock == 0 && !self.unknown
    }

    fn remember(&mut self, domain: u64) {
        self.nested.truncate(NESTED - 1);
        self.nested.push_front(domain);
    }

    /// Whose rules refused.
    fn source(&self, refusal: &Refusal) -> Source<'_> {
        let policy = Source::Policy(&self.registration.policy);
        match (&refusal.by, self.progress.domain) {
            (By::Seccomp(_), _) => policy,
            (By::Landlock(access), Some(own)) if access.domain == own => policy,
            // PID 1 makes one domain, so all others are made by others.
            (By::Landlock(_), Some(_)) => Source::Inside,
            (By::Landlock(access), None) if self.nested.contains(&access.domain) => Source::Inside,
            (By::Landlock(_), None) => Source::Unknown,
        }
    }

    /// Tells at once of a tripwire. A full channel holds what the task has not seen yet, and one is enough to act on.
    fn sound(&self, denial: &Denial) {
        if let Some(tripwire) = Tripwire::of(denial) {
            match self.registration.alarm.try_send(Touched { tripwire, denial: denial.clone() }) {
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {}
            }
        }
    }

    fn list(&mut self, refusal: Refusal) {
        let source = self.source(&refusal);
        let ours = matches!((&refusal.by, source), (By::Landlock(_), Source::Policy(_)));
        let unknown = self.unknown || source == Source::Unknown;
        let policys = matches!(source, Source::Policy(_));
        let full = self.progress.seq >= LIST_LENGTH || self.bytes >= LIST_BYTES;
        if full && !(policys && suspicious(&refusal)) {
            (self.unknown, self.progress.unlisted) = (unknown, self.progress.unlisted + 1);
            return;
        }
        let denial = denial(refusal, self.progress.seq + 1, source);
        if policys {
            self.sound(&denial);
        }
        let size = size(&denial);
        self.unknown = unknown;
        if full {
            self.progress.unlisted += 1;
            return;
        }
        match self.registration.sink.try_send(denial) {
            Ok(()) => {
                self.bytes += size;
                self.progress.seq += 1;
                self.progress.landlock += u64::from(ours);
            }
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => self.progress.unlisted += 1,
        }
    }
}

/// Whether a refusal can touch a tripwire: a cheap look, since a flood comes here with every one.
fn suspicious(refusal: &Refusal) -> bool {
    match &refusal.by {
        By::Seccomp(_) => true,
        By::Landlock(access) => matches!(&access.object, Object::Path(path) if violation::touches(path)),
    }
}

fn size(denial: &Denial) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    // The names of the fields in the file.
    const FIXED: usize = 200;
    FIXED + length(&denial.exe) + length(&denial.comm) + length(&denial.object) + denial.sentence.len()
}
