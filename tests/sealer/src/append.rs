//! Records that a test has written itself.

use anyhow::{Context as _, Result};
use serde_json::value::RawValue;
use std::io::BufRead as _;
use std::path::Path;
use trust::format::Body;
use trust::log::{Log, Options};

/// Seals each line of standard input.
pub(crate) fn run(directory: &Path, options: Options, sign: usize) -> Result<()> {
    let (log, _) = Log::open(directory, options)?;
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("failed to read the records")?;
        let object: Box<RawValue> = serde_json::from_str(&line).with_context(|| format!("{line:?} is no JSON"))?;
        let sealed = log.append_and_wait(Body::new(&object)?)?;
        if (number + 1).is_multiple_of(sign) {
            log.checkpoint()?;
        }
        println!("{} {}", sealed.seq(), sealed.leaf());
    }
    log.close()?;
    Ok(())
}
