//! How far long work has come, on a terminal.

use crate::show::amount;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::time::{Duration, Instant};

/// Work that is shorter shows nothing, and what is shown changes as often.
const INTERVAL: Duration = Duration::from_millis(250);
const CLEAR: &str = "\r\x1b[K";

/// Shown on standard error when that is a terminal; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    entries: u64,
    bytes: u64,
    /// When something is to be shown next; never when there is no terminal.
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// Of work that is named like `exported`.
    pub(crate) fn new(what: &'static str) -> Self {
        let next = io::stderr().is_terminal().then(|| Instant::now() + INTERVAL);
        Self { what, entries: 0, bytes: 0, next, shown: false }
    }

    /// One entry more.
    pub(crate) fn entry(&mut self) {
        self.entries += 1;
        self.tick();
    }

    /// One entry more, of so many bytes.
    pub(crate) fn entry_of(&mut self, bytes: usize) {
        self.bytes += u64::try_from(bytes).unwrap_or(0);
        self.entry();
    }

    /// Counts what is read.
    pub(crate) fn counting<'a, R: Read>(&'a mut self, from: R) -> Counting<'a, R> {
        Counting { progress: self, from }
    }

    /// What was read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn tick(&mut self) {
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now < next {
            return;
        }
        self.next = now.checked_add(INTERVAL);
        self.shown = true;
        let text = format!("{CLEAR}{} {} entries, {}", self.what, self.entries, amount::bytes(self.bytes));
        // Nothing depends on it.
        if io::stderr().write_all(text.as_bytes()).is_err() {
            self.next = None;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown && io::stderr().write_all(CLEAR.as_bytes()).is_err() {}
    }
}

/// Passes bytes through.
#[derive(Debug)]
pub(crate) struct Counting<'a, R> {
    progress: &'a mut Progress,
    from: R,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.progress.bytes += u64::try_from(count).unwrap_or(0);
        self.progress.tick();
        Ok(count)
    }
}
