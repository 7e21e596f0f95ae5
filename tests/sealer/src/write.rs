//! Appending from several threads.

use anyhow::{Context as _, Result};
use serde_json::json;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use trust::format::Body;
use trust::log::{Log, Options};

/// Between two attempts while records are refused.
const PAUSE: Duration = Duration::from_millis(5);

/// Appends until it is killed, or its output is.
pub(crate) fn run(directory: &Path, options: Options, threads: u32) -> Result<()> {
    let (log, recovery) = Log::open(directory, options)?;
    eprintln!("{recovery:?}");
    std::thread::scope(|scope| {
        let run = |number| {
            let log = &log;
            scope.spawn(move || appends(log, number))
        };
        let threads: Vec<_> = (0..threads).map(run).collect();
        let ends =
            threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))?);
        ends.collect::<Result<()>>()
    })
}

fn appends(log: &Log, thread: u32) -> Result<()> {
    for number in 0u64.. {
        // Of different lengths, so that a crash tears at different places.
        let padding = "x".repeat(usize::try_from(number % 97 * 7)?);
        let body = Body::new(&json!({"event": "denial", "thread": thread, "number": number, "path": padding}))?;
        let line = match log.append_and_wait(body) {
            Ok(sealed) => format!("{} {}\n", sealed.seq(), sealed.leaf()),
            Err(error) => {
                std::thread::sleep(PAUSE);
                let full = if error.is_full() { "full: " } else { "" };
                format!("refused {full}{:#}\n", anyhow::Error::from(error))
            }
        };
        // One write: a line that is there is there whole.
        std::io::stdout().lock().write_all(line.as_bytes()).context("failed to tell what is sealed")?;
    }
    Ok(())
}
