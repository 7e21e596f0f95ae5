//! Approvals: actions that wait for a person. Bound to the digest of the exact action, used once, and not for ever.
//!
//! ```text
//!   action ── wanted ──► pending ── decide (a person) ──► approved ── take ──► Approved ──► the gate ──► Permit
//! ```
//! They last over a restart: each is a file, written whole before anybody is told. Nothing of this is reached from inside an
//! agent but [`Approvals::want`] and [`Approvals::take`], by way of its own actions.

mod files;
mod notify;

use crate::agent::now;
use crate::caller::Caller;
use crate::gate::Refusal;
use protocol::action::{ApprovalId, RefusalReason};
use protocol::approval::{Approval, ApprovalState};
use protocol::control::DecideApproval;
use protocol::error::ControlError;
use protocol::ids::TimeUs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

pub(crate) use files::StoreError;

/// Most that wait of one agent.
const MOST_PENDING: usize = 16;
/// Most that are kept of those that are over.
const MOST_KEPT: usize = 1000;
/// Bytes of what a person is shown. Nobody approves what was not shown whole.
const MOST_DETAILS: usize = 128 << 10;

/// How long something holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spans {
    /// For a decision.
    pub(crate) wait: Duration,
    /// For the use of what was approved.
    pub(crate) valid: Duration,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Approvals {
    directory: PathBuf,
    spans: Spans,
    notify: Vec<String>,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    all: BTreeMap<u64, Approval>,
    /// When those that are open run out. Not by the host's clock, so that one that is set back makes nothing hold longer.
    ends: BTreeMap<u64, Instant>,
    refused: u64,
}

impl Inner {
    /// One that is open or over now.
    fn put(&mut self, approval: Approval, left: Duration) {
        let number = approval.id.number();
        if is_open(approval.state) {
            // One whose end is beyond all clocks has ended: nothing holds for ever.
            let now = Instant::now();
            self.ends.insert(number, now.checked_add(left).unwrap_or(now));
        } else {
            self.ends.remove(&number);
        }
        self.all.insert(number, approval);
    }
}

/// An approval that was used up just now, for one action. Only [`Approvals::take`] makes it.
#[derive(Debug)]
pub(crate) struct Approved {
    id: ApprovalId,
}

impl Approved {
    /// Its name.
    pub(crate) fn id(&self) -> &ApprovalId {
        &self.id
    }
}

/// Where an action that needs an approval stands.
#[derive(Debug)]
pub(crate) enum Standing {
    /// It may be done now.
    Approved(Approved),
    /// Somebody is to decide.
    Pending,
}

impl Approvals {
    /// Reads what there is.
    pub(crate) fn open(directory: &Path, spans: Spans, notify: Vec<String>) -> Result<Self, StoreError> {
        let (kept, highest) = files::load(directory)?;
        let mut inner = Inner { next: highest.saturating_add(1), ..Inner::default() };
        let now = now();
        for approval in kept.into_values() {
            let left = Duration::from_micros(approval.expires_us.0.saturating_sub(now.0));
            let span = if approval.state == ApprovalState::Approved { spans.valid } else { spans.wait };
            inner.put(approval, left.min(span));
        }
        let inner = Mutex::new(inner);
        Ok(Self { directory: directory.to_owned(), spans, notify, inner, changed: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (inner, now) = (&mut *guard, Instant::now());
        inner.ends.retain(|number, end| {
            let over = *end <= now;
            if over && let Some(approval) = inner.all.get_mut(number) {
                approval.state = ApprovalState::Expired;
            }
            !over
        });
        guard
    }

    /// Has a person asked about an action, once however often it is asked for. `of` has no name, times and state yet.
    pub(crate) fn want(&self, of: Approval) -> Result<ApprovalId, Refusal> {
        if of.details.len() > MOST_DETAILS {
            let message = format!("it is more than a person is shown: {} bytes", of.details.len());
            return Err(Refusal::new(RefusalReason::TooLarge, message));
        }
        let mut inner = self.lock();
        let same = |other: &&Approval| is_open(other.state) && is_same(other, &of) && other.digest == of.digest;
        if let Some(other) = inner.all.values().find(same) {
            return Ok(other.id.clone());
        }
        let waiting = |other: &&Approval| other.state == ApprovalState::Pending && is_same(other, &of);
        if inner.all.values().filter(waiting).count() >= MOST_PENDING {
            inner.refused += 1;
            self.changed.send_modify(|count| *count += 1);
            let message = format!("{MOST_PENDING} actions of the agent wait for approval already");
            return Err(Refusal::new(RefusalReason::ApprovalFlood, message));
        }
        let created = now();
        let approval = Approval {
            id: ApprovalId::new(inner.next),
            state: ApprovalState::Pending,
            created_us: created,
            expires_us: later(created, self.spans.wait),
            ..of
        };
        files::save(&self.directory, &approval).map_err(|error| unsaved(&error))?;
        inner.next += 1;
        inner.put(approval.clone(), self.spans.wait);
        self.retire(&mut inner);
        drop(inner);
        self.changed.send_modify(|count| *count += 1);
        notify::tell(&self.notify, &approval);
        Ok(approval.id)
    }

    /// Uses an approval up, if a person has given it; one that is not decided yet stays as it is.
    pub(crate) fn take(&self, id: &ApprovalId, agent: &str, digest: &str) -> Result<Standing, Refusal> {
        let mut inner = self.lock();
        let invalid = |why: &str| Refusal::new(RefusalReason::ApprovalInvalid, format!("{id} {why}"));
        let found = inner.all.get_mut(&id.number()).filter(|approval| approval.agent.as_str() == agent);
        let Some(approval) = found else { return Err(invalid("is no approval of this agent's")) };
        if approval.digest != digest {
            let message = format!("{id} is for another action: {}", approval.summary);
            return Err(Refusal::new(RefusalReason::ApprovalActionMismatch, message));
        }
        match approval.state {
            ApprovalState::Pending => return Ok(Standing::Pending),
            ApprovalState::Used => return Err(invalid("was used; it holds for one time")),
            ApprovalState::Denied => {
                let note = approval.note.as_deref().map_or_else(String::new, |note| format!(": {note}"));
                return Err(Refusal::new(RefusalReason::ApprovalDenied, format!("a person denied it{note}")));
            }
            ApprovalState::Expired => {
                let message = format!("{id} has run out; ask again");
                return Err(Refusal::new(RefusalReason::ApprovalTimeout, message));
            }
            ApprovalState::Approved => {}
        }
        // On disk first: after a crash it is rather lost than used twice.
        let used = Approval { state: ApprovalState::Used, ..approval.clone() };
        files::save(&self.directory, &used).map_err(|error| unsaved(&error))?;
        inner.put(used, Duration::ZERO);
        drop(inner);
        self.changed.send_modify(|count| *count += 1);
        Ok(Standing::Approved(Approved { id: id.clone() }))
    }

    /// Waits until one is not pending any more.
    pub(crate) async fn decided(&self, id: &ApprovalId) {
        let mut changed = self.changed.subscribe();
        loop {
            let end = {
                let inner = self.lock();
                let pending = |approval: &&Approval| approval.state == ApprovalState::Pending;
                match inner.all.get(&id.number()).filter(pending).and_then(|_| inner.ends.get(&id.number())) {
                    Some(end) => *end,
                    None => return,
                }
            };
            // Either is looked into by the next round.
            drop(tokio::time::timeout_at(end.into(), changed.changed()).await);
        }
    }

    /// A person's decision, about what the person saw.
    pub(crate) fn decide(&self, decision: &DecideApproval, caller: &Caller) -> Result<Approval, ControlError> {
        let mut inner = self.lock();
        let none = || ControlError::NoSuchApproval { id: decision.id.to_string() };
        let wrong = |why: &str| ControlError::WrongApproval { id: decision.id.to_string(), why: why.to_owned() };
        let approval = inner.all.get_mut(&decision.id.number()).filter(|approval| may(caller, approval));
        let approval = approval.ok_or_else(none)?;
        if approval.digest != decision.digest {
            return Err(wrong("what was shown is another action; look at it again: agentctl approvals show"));
        }
        if approval.state != ApprovalState::Pending {
            return Err(wrong(&format!("it is {} already", word(approval.state))));
        }
        let state = if decision.approve { ApprovalState::Approved } else { ApprovalState::Denied };
        let decided = Approval {
            state,
            by: Some(caller.recorded()),
            note: decision.note.clone(),
            expires_us: later(now(), self.spans.valid),
            ..approval.clone()
        };
        files::save(&self.directory, &decided).map_err(|error| crate::daemon::internal(&error))?;
        inner.put(decided.clone(), self.spans.valid);
        drop(inner);
        self.changed.send_modify(|count| *count += 1);
        Ok(decided)
    }

    /// Those that a caller may see, oldest first; and how many were refused because too many waited.
    pub(crate) fn list(&self, all: bool, caller: &Caller) -> (Vec<Approval>, u64) {
        let inner = self.lock();
        let shown = |approval: &&Approval| may(caller, approval) && (all || approval.state == ApprovalState::Pending);
        (inner.all.values().filter(shown).cloned().collect(), inner.refused)
    }

    /// Told whenever something changes.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Forgets the oldest of those that are over.
    fn retire(&self, inner: &mut Inner) {
        let over: Vec<u64> =
            inner.all.iter().filter(|(_, approval)| !is_open(approval.state)).map(|(number, _)| *number).collect();
        for number in over.iter().take(over.len().saturating_sub(MOST_KEPT)) {
            inner.all.remove(number);
            files::remove(&self.directory, *number);
        }
    }
}

/// Whether both are of one agent; a name can be another user's agent's another time.
fn is_same(one: &Approval, other: &Approval) -> bool {
    one.agent == other.agent && one.owner == other.owner
}

fn is_open(state: ApprovalState) -> bool {
    matches!(state, ApprovalState::Pending | ApprovalState::Approved)
}

fn may(caller: &Caller, approval: &Approval) -> bool {
    caller.is_root() || caller.uid == approval.owner
}

fn later(time: TimeUs, span: Duration) -> TimeUs {
    TimeUs(time.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
}

fn unsaved(error: &StoreError) -> Refusal {
    Refusal::new(RefusalReason::AuditUnavailable, crate::journal::sentence(error))
}

/// The state as it is said.
fn word(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Pending => "pending",
        ApprovalState::Approved => "approved",
        ApprovalState::Used => "used",
        ApprovalState::Denied => "denied",
        ApprovalState::Expired => "expired",
    }
}

#[cfg(test)]
mod tests;
