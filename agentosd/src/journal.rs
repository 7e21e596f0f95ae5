//! Lines to standard error; with systemd's priority prefixes when the journal reads them (sd-daemon(3)).

use std::error::Error;
use std::fmt;
use std::io::Write as _;
use std::sync::OnceLock;

/// Something failed that nobody's request asked for.
pub(crate) fn error(line: fmt::Arguments<'_>) {
    write("<3>", line);
}

/// Something is less than an operator may expect.
pub(crate) fn warning(line: fmt::Arguments<'_>) {
    write("<4>", line);
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
