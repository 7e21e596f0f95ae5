//! Records of one serial number put together to one event.
//!
//! A refusal by Landlock is several records: what was refused (1423), at the domain's first refusal the domain (1424),
//! and, when the system call ends, who made it (1300) and the end mark (1320). Records of other calls come in between,
//! so that serial numbers are open beside each other. A refusal by seccomp is one record that names its process: the
//! filter answers before the kernel starts to note down the call, so nothing else follows.
//!
//! The end may never come, for example where an audit rule excludes tasks from notes (`task,never`) or where it was
//! lost. An event then closes after a while, and when more are open than calls can be under way.

use super::record::{Access, Body, Call, Process, Record, Stamp};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// What the kernel said, put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Something was refused.
    Refused(Refusal),
    /// A domain refused for the first time; `pid` made it, as `uid`.
    DomainAllocated { domain: u64, pid: i32, uid: u32 },
    /// A domain is gone, after so many refusals.
    DomainDeallocated { domain: u64, denials: u64 },
    /// A mark that a daemon has put into the stream.
    SequencePoint(u64),
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub time_us: u64,
    pub by: By,
    /// Unknown when the record that says it was lost.
    pub process: Option<Process>,
    pub call: Option<Call>,
}

/// Which layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum By {
    Landlock(Access),
    /// With the filter's answer, `SECCOMP_RET_…`.
    Seccomp(u32),
}

/// How long an event waits for its end. A call that was refused ends within microseconds, but its task may lose the
/// processor on the way.
const PATIENCE: Duration = Duration::from_millis(100);
/// Events open at once; more than this many tasks are not inside a refused call.
const MOST_OPEN: usize = 4096;
/// Refusals within one call, for example one `kill(-1)`; more are passed on without their process.
const MOST_TOGETHER: usize = 64;

/// Landlock refusals whose call has not ended.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    open: HashMap<Stamp, Vec<Access>>,
    /// In the order of opening; may name closed ones.
    order: VecDeque<(Instant, Stamp)>,
}

impl Assembly {
    /// Takes a record and passes on what it completes.
    pub(super) fn take(&mut self, record: Record, now: Instant, pass: &mut impl FnMut(Event)) {
        let Record { stamp, body } = record;
        match body {
            Body::Access(access) => self.add(stamp, access, now, pass),
            Body::Syscall { process, call } => self.close(stamp, Some((process, call)), pass),
            Body::End => self.close(stamp, None, pass),
            Body::Seccomp { process, call, code } => pass(Event::Refused(Refusal {
                time_us: stamp.time_us,
                by: By::Seccomp(code),
                process: Some(process),
                call: Some(call),
            })),
            Body::DomainAllocated { domain, pid, uid } => pass(Event::DomainAllocated { domain, pid, uid }),
            Body::DomainDeallocated { domain, denials } => {
                self.close_domain(domain, pass);
                pass(Event::DomainDeallocated { domain, denials });
            }
            Body::SequencePoint(id) => pass(Event::SequencePoint(id)),
        }
    }

    fn add(&mut self, stamp: Stamp, access: Access, now: Instant, pass: &mut impl FnMut(Event)) {
        if self.order.len() >= MOST_OPEN {
            self.make_room(pass);
        }
        let together = self.open.entry(stamp).or_insert_with(|| {
            self.order.push_back((now, stamp));
            Vec::new()
        });
        if together.len() < MOST_TOGETHER {
            together.push(access);
        } else {
            pass(Event::Refused(refusal(stamp, access, None)));
        }
    }

    /// Forgets what is closed, and if that is not enough closes the oldest: an eighth at a time, so that a flood does
    /// not come here with every record.
    fn make_room(&mut self, pass: &mut impl FnMut(Event)) {
        self.order.retain(|(_, stamp)| self.open.contains_key(stamp));
        while self.order.len() > MOST_OPEN / 8 * 7
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.close(oldest, None, pass);
        }
    }

    fn close(&mut self, stamp: Stamp, who: Option<(Process, Call)>, pass: &mut impl FnMut(Event)) {
        let Some(together) = self.open.remove(&stamp) else { return };
        for access in together {
            pass(Event::Refused(refusal(stamp, access, who.clone())));
        }
        while self.order.front().is_some_and(|(_, oldest)| !self.open.contains_key(oldest)) {
            self.order.pop_front();
        }
    }

    /// Closes what waits in this domain; nobody is left in it.
    pub(super) fn close_domain(&mut self, domain: u64, pass: &mut impl FnMut(Event)) {
        let inside = |stamp: &Stamp| {
            self.open.get(stamp).is_some_and(|together| together.iter().any(|access| access.domain == domain))
        };
        let stamps: Vec<Stamp> = self.order.iter().map(|(_, stamp)| *stamp).filter(inside).collect();
        for stamp in stamps {
            self.close(stamp, None, pass);
        }
    }

    /// Closes what has waited too long.
    pub(super) fn expire(&mut self, now: Instant, pass: &mut impl FnMut(Event)) {
        while let Some(&(opened, stamp)) = self.order.front() {
            if now.saturating_duration_since(opened) < PATIENCE {
                return;
            }
            self.order.pop_front();
            self.close(stamp, None, pass);
        }
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.order.front().map(|(opened, _)| *opened + PATIENCE)
    }
}

fn refusal(stamp: Stamp, access: Access, who: Option<(Process, Call)>) -> Refusal {
    let (process, call) = who.unzip();
    Refusal { time_us: stamp.time_us, by: By::Landlock(access), process, call }
}
