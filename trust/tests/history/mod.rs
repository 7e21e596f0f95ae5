//! Logs for the tests: small segments, so that a few records make several files.

use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use trust::format::{Body, Report};
use trust::log::{Log, Options, ReadError, Retention, Rotation, Sealed, verify};
use trust::note::VerifyingKey;

/// Options of a log whose segments are closed after `bytes`, and which signs only when asked or closed.
pub(crate) fn options(bytes: u64, retention: Retention) -> Options {
    let origin = "example.com/log".parse().expect("a good name");
    let rotation = Rotation { bytes, age: Duration::from_secs(3600) };
    Options { rotation, retention, checkpoint_every: Duration::from_secs(3600), ..Options::new(origin) }
}

/// A body that says `number`.
pub(crate) fn body(number: u64) -> Body {
    Body::new(&json!({"event": "denial", "number": number})).expect("a small object")
}

/// Appends the records `numbers`, one by one.
pub(crate) fn append(log: &Log, numbers: std::ops::Range<u64>) -> Vec<Sealed> {
    numbers.map(|number| log.append_and_wait(body(number)).expect("there is room")).collect()
}

/// A closed log.
pub(crate) struct History {
    pub(crate) place: TempDir,
    pub(crate) key: VerifyingKey,
}

impl History {
    /// `records` in segments of about `bytes`, with a checkpoint after every fifth.
    pub(crate) fn new(records: u64, bytes: u64) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let (log, _) = Log::open(place.path(), options(bytes, Retention::default())).expect("a new log");
        for number in 0..records {
            append(&log, number..number + 1);
            if number % 5 == 4 {
                log.checkpoint().expect("there is room");
            }
        }
        let key = log.key().clone();
        log.close().expect("there is room");
        Self { place, key }
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn verify(&self) -> Result<Report, ReadError> {
        verify(self.path(), &self.key, &[])
    }

    /// Paths of the segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        segments(self.path())
    }

    /// Every file that the verifier reads.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = self.segments();
        files.push(self.path().join("checkpoints"));
        files
    }
}

/// Paths of the segments in `directory`, oldest first.
pub(crate) fn segments(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    found.sort();
    found
}

/// The finding as a person reads it, with its causes.
pub(crate) fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
