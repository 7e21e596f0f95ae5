//! At which pace an agent's output is read where nobody but the log takes it, so that the disk and the processors are left to
//! others. Each stream has its own: a flood on one holds up no other.

use std::time::{Duration, Instant};

/// Bytes of output that are kept as fast as they come, and in each second after that. Who writes more waits for its pipe; a
/// client that is attached takes what it can.
const BURST: u64 = 64 << 20;
const RATE: u64 = 16 << 20;
/// A piece counts as at least so many, because a small one costs its reader as much as a large one.
const PIECE: u64 = 512;
/// For how long nothing is read when the pace is reached.
const REST: Duration = Duration::from_millis(50);

/// A bucket of bytes that fills at [`RATE`].
#[derive(Debug)]
pub(super) struct Pace {
    left: u64,
    filled: Instant,
    rest: Option<Instant>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, filled: now, rest: None }
    }

    /// A piece of so many bytes was read.
    pub(super) fn take(&mut self, bytes: u64, now: Instant) {
        let since = u64::try_from(now.saturating_duration_since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let more = since.saturating_mul(RATE) / 1_000_000;
        self.left = self.left.saturating_add(more).min(BURST).saturating_sub(bytes.max(PIECE));
        self.filled = now;
        self.rest = (self.left == 0).then(|| now + REST);
    }

    /// How long nothing is read.
    pub(super) fn rests(&self, now: Instant) -> Option<Duration> {
        self.rest.map(|end| end.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_at_once_and_what_follows_at_the_pace() {
        let start = Instant::now();
        let (mut pace, mut now, mut taken) = (Pace::new(start), start, 0);
        while pace.rests(now).is_none() {
            pace.take(64 << 10, now);
            taken += 64 << 10;
        }
        assert_eq!(taken, BURST);
        // Ten seconds of somebody who writes whenever it can.
        let end = start + Duration::from_secs(10);
        while now < end {
            match pace.rests(now) {
                Some(left) => now += left,
                None => {
                    pace.take(64 << 10, now);
                    taken += 64 << 10;
                }
            }
        }
        let rate = (taken - BURST) / 10;
        assert!((RATE * 9 / 10..=RATE * 12 / 10).contains(&rate), "{rate} bytes a second");
        // Who pauses has its burst again.
        now += Duration::from_secs(10);
        pace.take(BURST - 1, now);
        assert_eq!(pace.rests(now), None);
    }
}
