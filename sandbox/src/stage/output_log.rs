//! What an agent writes, kept in its output file: bounded, and at a pace that leaves the disk to others.

use crate::log;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The agent's output file, its size and its bound.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    limit: Option<u64>,
    /// Bytes of output so far, headers not counted.
    pub(super) total: u64,
    /// What of the limit is used.
    counted: u64,
    /// The limit was passed; nothing more is read.
    pub(super) spent: bool,
    pace: Pace,
}

impl Log {
    pub(super) fn new(file: OwnedFd, limit: Option<u64>) -> Self {
        Self { file: File::from(file), limit, total: 0, counted: 0, spent: false, pace: Pace::new(Instant::now()) }
    }

    /// Gives the limit once more.
    pub(super) fn renew(&mut self) {
        (self.counted, self.spent) = (0, false);
    }

    /// Whether more is read now of what a client takes, or nobody but this log.
    pub(super) fn takes(&self, has_client: bool) -> bool {
        !self.spent && (has_client || self.rests().is_none())
    }

    /// How long nothing is read of what nobody but this log takes.
    pub(super) fn rests(&self) -> Option<Duration> {
        self.pace.rests(Instant::now())
    }

    pub(super) fn append(&mut self, stderr: bool, data: &[u8], has_client: bool) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let length = u32::try_from(data.len()).map_err(io::Error::other)?;
        // One write a record, so that a reader never sees a header without the bytes it promises.
        let mut record = log::header(u64::try_from(now).unwrap_or(u64::MAX), stderr, length).to_vec();
        record.extend_from_slice(data);
        self.file.write_all(&record)?;
        self.total += u64::from(length);
        self.counted += log::counted(u64::from(length));
        self.spent = self.limit.is_some_and(|limit| self.counted > limit);
        if !has_client {
            self.pace.take(u64::from(length), Instant::now());
        }
        Ok(())
    }
}

/// Bytes of output that are kept as fast as they come, and in each second after that. Who writes more waits for its pipe; a
/// client that is attached takes what it can.
const BURST: u64 = 64 << 20;
const RATE: u64 = 16 << 20;
/// For how long nothing is read when the pace is reached.
const REST: Duration = Duration::from_millis(50);

/// A bucket of bytes that fills at [`RATE`].
#[derive(Debug)]
struct Pace {
    left: u64,
    filled: Instant,
    rest: Option<Instant>,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { left: BURST, filled: now, rest: None }
    }

    fn take(&mut self, bytes: u64, now: Instant) {
        let since = u64::try_from(now.saturating_duration_since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let more = since.saturating_mul(RATE) / 1_000_000;
        self.left = self.left.saturating_add(more).min(BURST).saturating_sub(bytes);
        self.filled = now;
        self.rest = (self.left == 0).then(|| now + REST);
    }

    fn rests(&self, now: Instant) -> Option<Duration> {
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
