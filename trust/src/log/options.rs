//! How a log is kept, and which segments may go. Pure.

use crate::format::TimeNs;
use crate::note::Origin;
use std::time::Duration;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of a new log and its key; an old log keeps its own.
    pub origin: Origin,
    /// When a segment is closed.
    pub rotation: Rotation,
    /// How much is kept.
    pub retention: Retention,
    /// A record is signed at most so long after it was sealed.
    pub checkpoint_every: Duration,
}

impl Options {
    /// 64 MiB or a day a segment, everything kept, a checkpoint a second.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        let rotation = Rotation { bytes: 64 << 20, age: Duration::from_secs(24 * 3600) };
        Self { origin, rotation, retention: Retention::default(), checkpoint_every: Duration::from_secs(1) }
    }
}

/// When a segment is closed and the next begins: as soon as one of them is reached and another record comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// So many bytes. A segment may have those of one commit more.
    pub bytes: u64,
    /// Since its first record.
    pub age: Duration,
}

/// What may be removed: whole segments, the oldest first, as soon as one of these is passed. The segment that is written is
/// always kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Most segments, that which is written counted.
    pub segments: Option<u64>,
    /// Most bytes of all segments.
    pub bytes: Option<u64>,
    /// How long a segment is kept after its last record.
    pub age: Option<Duration>,
}

/// A segment as retention sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) first: u64,
    pub(super) bytes: u64,
    /// Of its first record; unknown when it has none.
    pub(super) begun: Option<TimeNs>,
}

impl Rotation {
    /// Whether the segment is to be closed before the next record.
    pub(super) fn is_due(&self, segment: &Extent, now: TimeNs) -> bool {
        let Some(begun) = segment.begun else { return false };
        segment.bytes >= self.bytes || older(begun, now, self.age)
    }
}

impl Retention {
    /// How many of `segments`, oldest first and the one that is written last, may go.
    pub(super) fn retired(&self, segments: &[Extent], now: TimeNs) -> usize {
        let may_go = |at: usize| {
            let rest = &segments[at..];
            // The next one's first record comes after this one's last.
            let ended = rest.get(1).and_then(|next| next.begun);
            let bytes = rest.iter().fold(0, |sum: u64, segment| sum.saturating_add(segment.bytes));
            let count = u64::try_from(rest.len()).unwrap_or(u64::MAX);
            self.segments.is_some_and(|most| count > most)
                || self.bytes.is_some_and(|most| bytes > most)
                || matches!((self.age, ended), (Some(age), Some(ended)) if older(ended, now, age))
        };
        // While the last is empty, the one before it has the last record, which the next is linked to.
        let last = segments.iter().rposition(|segment| segment.begun.is_some()).unwrap_or(0);
        (0..last).take_while(|at| may_go(*at)).count()
    }
}

fn older(then: TimeNs, now: TimeNs, age: Duration) -> bool {
    u128::from(now.0.saturating_sub(then.0)) > age.as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn segments() -> Vec<Extent> {
        (0..4).map(|n| Extent { first: n * 10, bytes: 100, begun: Some(TimeNs(n * SECOND)) }).collect()
    }

    fn retired(rule: Retention) -> usize {
        rule.retired(&segments(), TimeNs(4 * SECOND))
    }

    #[test]
    fn each_rule_removes_the_oldest_and_never_the_last() {
        let none = Retention::default();
        assert_eq!(retired(none), 0);
        for (most, expected) in [(9, 0), (4, 0), (3, 1), (1, 3), (0, 3)] {
            assert_eq!(retired(Retention { segments: Some(most), ..none }), expected, "{most} segments");
            assert_eq!(retired(Retention { bytes: Some(most * 100), ..none }), expected, "{most}00 bytes");
        }
        for (seconds, expected) in [(9, 0), (3, 0), (2, 1), (1, 2), (0, 3)] {
            // The first ended at most when the second began, three seconds ago.
            let age = Some(Duration::from_secs(seconds));
            assert_eq!(retired(Retention { age, ..none }), expected, "{seconds} s");
        }
    }

    #[test]
    fn the_last_record_is_kept_while_the_next_segment_is_empty() {
        let mut segments = segments();
        segments[3].begun = None;
        let rule = Retention { segments: Some(1), ..Retention::default() };
        assert_eq!(rule.retired(&segments, TimeNs(0)), 2);
    }

    #[test]
    fn a_segment_is_closed_by_size_or_age_unless_it_is_empty() {
        let rule = Rotation { bytes: 100, age: Duration::from_secs(5) };
        let segment = Extent { first: 0, bytes: 99, begun: Some(TimeNs(0)) };
        assert!(!rule.is_due(&segment, TimeNs(5 * SECOND)));
        assert!(rule.is_due(&segment, TimeNs(5 * SECOND + 1)));
        assert!(rule.is_due(&Extent { bytes: 100, ..segment }, TimeNs(0)));
        assert!(!rule.is_due(&Extent { bytes: 100, begun: None, ..segment }, TimeNs(u64::MAX)));
    }
}
