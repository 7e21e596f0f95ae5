//! Lines to standard error; with systemd's priority prefixes when the journal reads them (sd-daemon(3)).

use std::error::Error;
use std::fmt;
use std::io::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Something failed that nobody's request asked for.
pub(crate) fn error(line: fmt::Arguments<'_>) {
    write("<3>", line);
}

/// Something is less than an operator may expect.
pub(crate) fn warning(line: fmt::Arguments<'_>) {
    write("<4>", line);
}

/// What a peer can provoke as often as it likes: at most [`PROVOKED`] lines a second, and then how many were left out.
pub(crate) fn provoked(line: fmt::Arguments<'_>) {
    static LIMIT: Mutex<Limit> = Mutex::new(Limit { second: 0, lines: 0, left_out: 0 });
    let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (write_it, left_out) = LIMIT.lock().unwrap_or_else(PoisonError::into_inner).admit(second);
    if left_out > 0 {
        warning(format_args!("{left_out} more such lines were left out"));
    }
    if write_it {
        warning(line);
    }
}

/// Lines of [`provoked`] a second.
const PROVOKED: u32 = 10;

struct Limit {
    second: u64,
    lines: u32,
    left_out: u64,
}

impl Limit {
    /// Whether a line may be written now, and how many were left out in the seconds before.
    fn admit(&mut self, second: u64) -> (bool, u64) {
        let mut left_out = 0;
        if second != self.second {
            left_out = std::mem::take(&mut self.left_out);
            (self.second, self.lines) = (second, 0);
        }
        self.lines = self.lines.saturating_add(1);
        let admitted = self.lines <= PROVOKED;
        self.left_out += u64::from(!admitted);
        (admitted, left_out)
    }
}

/// A step of the daemon's own life.
pub(crate) fn info(line: fmt::Arguments<'_>) {
    write("<6>", line);
}

fn write(prefix: &str, line: fmt::Arguments<'_>) {
    static JOURNAL: OnceLock<bool> = OnceLock::new();
    let prefix = if *JOURNAL.get_or_init(|| std::env::var_os("JOURNAL_STREAM").is_some()) { prefix } else { "" };
    // One write a line, so that lines of several threads do not mix. With standard error gone, there is nobody to tell.
    std::io::stderr().write_all(format!("{prefix}agentosd: {line}\n").as_bytes()).ok();
}

/// An error with its causes, as one sentence.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        cause = error.source();
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_counted_and_not_written() {
        let mut limit = Limit { second: 0, lines: 0, left_out: 0 };
        let written = (0..1000).filter(|_| limit.admit(7).0).count();
        assert_eq!(written, 10);
        assert_eq!(limit.admit(8), (true, 990));
        assert_eq!(limit.admit(8), (true, 0));
    }
}
