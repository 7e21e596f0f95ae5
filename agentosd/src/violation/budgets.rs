//! Budgets of time: when to look, and whether one is spent. The caller brings the clock and the counters.
//!
//! A budget that is spent is told once. After somebody has looked and continued the agent, it has the same amount again.

use protocol::agent::Limits;
use std::time::{Duration, Instant};

/// What can be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    /// Time from start to end.
    Wall,
    /// Bytes of output.
    Output,
    /// Processor time.
    CpuTime,
}

impl Budget {
    /// The key in the policy.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::Wall => "process.limits.wall",
            Self::Output => "process.limits.output",
            Self::CpuTime => "process.limits.cpu_time",
        }
    }

    /// That it is spent, in words.
    pub(crate) fn spent(self) -> &'static str {
        match self {
            Self::Wall => "its time is up",
            Self::Output => "its output is more than it may write",
            Self::CpuTime => "its processor time is used up",
        }
    }
}

/// All of one agent.
#[derive(Debug)]
pub(crate) struct Budgets {
    wall: Option<Wall>,
    cpu: Option<Cpu>,
    output_spent: bool,
}

#[derive(Debug)]
struct Wall {
    span: Duration,
    /// `None` once it is spent.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Cpu {
    amount_us: u64,
    /// The use at which it is spent.
    until_us: u64,
    seen_us: u64,
    /// What the agent can use in a second, at most.
    cores_milli: u64,
    floor: Duration,
    /// `None` once it is spent.
    look: Option<Instant>,
}

/// Between two looks at the processor time: at least, and while the agent does nothing at most. Within the first it can
/// overdraw its budget.
const OFTEN: Duration = Duration::from_millis(50);
const RARELY: Duration = Duration::from_secs(1);

impl Budgets {
    /// From the limits in force at the start of an agent; `wall` without what its caller asked for, and `cores_milli`
    /// what the host has, for an agent without a share.
    pub(crate) fn new(limits: &Limits, (wall, cores_milli): (Option<Duration>, u64), now: Instant) -> Self {
        let cpu = limits.cpu_time_ms.map(|ms| {
            let amount_us = ms.saturating_mul(1000);
            let cores_milli = limits.cpu_milli.map_or(cores_milli, |share| share.min(cores_milli)).max(1);
            let (until_us, seen_us, look) = (amount_us, 0, Some(now));
            let mut cpu = Cpu { amount_us, until_us, seen_us, cores_milli, floor: OFTEN, look };
            cpu.plan(now);
            cpu
        });
        let wall = wall.map(|span| Wall { span, due: now.checked_add(span) });
        Self { wall, cpu, output_spent: false }
    }

    /// When there is something to do.
    pub(crate) fn next(&self) -> Option<Instant> {
        let wall = self.wall.as_ref().and_then(|wall| wall.due);
        wall.into_iter().chain(self.cpu.as_ref().and_then(|cpu| cpu.look)).min()
    }

    /// Whether the processor time is to be read now.
    pub(crate) fn looks(&self, now: Instant) -> bool {
        self.cpu.as_ref().and_then(|cpu| cpu.look).is_some_and(|look| look <= now)
    }

    /// What is spent now, given the processor time when it was to be read.
    pub(crate) fn spent(&mut self, used_us: Option<u64>, now: Instant) -> Vec<Budget> {
        let mut spent = Vec::new();
        if let Some(wall) = &mut self.wall
            && wall.due.is_some_and(|due| due <= now)
        {
            wall.due = None;
            spent.push(Budget::Wall);
        }
        if let (Some(cpu), Some(used_us)) = (&mut self.cpu, used_us)
            && cpu.look.is_some()
            && cpu.used(used_us, now)
        {
            spent.push(Budget::CpuTime);
        }
        spent
    }

    /// The output is spent, which somebody else counts.
    pub(crate) fn output_spent(&mut self) {
        self.output_spent = true;
    }

    /// The agent is continued: what was spent is given once more. True when that is the output too.
    pub(crate) fn renew(&mut self, now: Instant) -> bool {
        if let Some(wall) = self.wall.as_mut().filter(|wall| wall.due.is_none()) {
            wall.due = now.checked_add(wall.span);
        }
        if let Some(cpu) = self.cpu.as_mut().filter(|cpu| cpu.look.is_none()) {
            cpu.until_us = cpu.seen_us.saturating_add(cpu.amount_us);
            cpu.plan(now);
        }
        std::mem::take(&mut self.output_spent)
    }
}

impl Cpu {
    fn used(&mut self, used_us: u64, now: Instant) -> bool {
        // Nothing was used since: rather look less often than keep the host awake for an agent that waits.
        self.floor = if used_us > self.seen_us { OFTEN } else { (self.floor * 2).min(RARELY) };
        self.seen_us = used_us;
        if used_us >= self.until_us {
            self.look = None;
            return true;
        }
        self.plan(now);
        false
    }

    /// The next look: when everything could be spent at the earliest.
    fn plan(&mut self, now: Instant) {
        let left_us = self.until_us.saturating_sub(self.seen_us);
        let earliest = Duration::from_micros(left_us.saturating_mul(1000) / self.cores_milli);
        self.look = now.checked_add(earliest.max(self.floor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn cpu(seconds: u64, cores_milli: u64, now: Instant) -> Budgets {
        let limits = Limits { cpu_time_ms: Some(seconds * 1000), ..Limits::default() };
        Budgets::new(&limits, (None, cores_milli), now)
    }

    #[test]
    fn time_is_told_once_and_begins_anew_when_the_agent_is_continued() {
        let now = Instant::now();
        let mut budgets = Budgets::new(&Limits::default(), (Some(SECOND), 1000), now);
        assert_eq!(budgets.next(), Some(now + SECOND));
        assert_eq!(budgets.spent(None, now), []);
        assert_eq!(budgets.spent(None, now + SECOND), [Budget::Wall]);
        assert_eq!((budgets.spent(None, now + 9 * SECOND), budgets.next()), (vec![], None));
        assert!(!budgets.renew(now + 10 * SECOND));
        assert_eq!(budgets.next(), Some(now + 11 * SECOND));
        assert!(!budgets.renew(now + 10 * SECOND), "what is not spent is not given again");
        assert_eq!(budgets.spent(None, now + 11 * SECOND), [Budget::Wall]);
    }

    #[test]
    fn processor_time_is_looked_at_when_it_can_be_spent_at_the_earliest() {
        let now = Instant::now();
        let mut budgets = cpu(60, 2000, now);
        assert_eq!(budgets.next(), Some(now + 30 * SECOND), "two cores take 30 s for 60");
        let then = now + 30 * SECOND;
        assert!(!budgets.looks(now) && budgets.looks(then));
        assert_eq!(budgets.spent(Some(30_000_000), then), []);
        assert_eq!(budgets.next(), Some(then + 15 * SECOND));
        assert_eq!(budgets.spent(Some(60_000_000), then + 15 * SECOND), [Budget::CpuTime]);
        assert_eq!(budgets.next(), None, "told once");
        budgets.renew(then);
        assert_eq!(budgets.next(), Some(then + 30 * SECOND), "60 s more");
        assert_eq!(budgets.spent(Some(119_000_000), then + 30 * SECOND), []);
        assert_eq!(budgets.spent(Some(120_000_001), then + 31 * SECOND), [Budget::CpuTime]);
    }

    #[test]
    fn an_agent_that_waits_with_little_left_is_not_looked_at_all_the_time() {
        let mut now = Instant::now();
        let mut budgets = cpu(1, 1000, now);
        let mut looks = 0;
        let end = now + 60 * SECOND;
        while let Some(next) = budgets.next().filter(|next| *next < end) {
            now = next;
            looks += 1;
            assert_eq!(budgets.spent(Some(999_000), now), []);
        }
        assert!(looks < 70, "{looks} looks in a minute");
        // It wakes up: from then on often again.
        assert_eq!(budgets.spent(Some(999_500), now), []);
        assert_eq!(budgets.next(), Some(now + OFTEN));
    }

    #[test]
    fn the_share_of_the_processors_counts_and_the_host_has_no_more_than_it_has() {
        let now = Instant::now();
        let of = |share| Limits { cpu_time_ms: Some(10_000), cpu_milli: Some(share), ..Limits::default() };
        assert_eq!(Budgets::new(&of(500), (None, 2000), now).next(), Some(now + 20 * SECOND));
        assert_eq!(Budgets::new(&of(64_000), (None, 2000), now).next(), Some(now + 5 * SECOND));
    }

    #[test]
    fn output_is_counted_elsewhere_and_given_again_here() {
        let now = Instant::now();
        let mut budgets = Budgets::new(&Limits::default(), (None, 1000), now);
        assert!(!budgets.renew(now));
        budgets.output_spent();
        assert!(budgets.renew(now) && !budgets.renew(now));
    }
}
