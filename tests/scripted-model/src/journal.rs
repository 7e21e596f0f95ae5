//! The record of what was asked for and what came back, one JSON object a line.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
};

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

/// One line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Entry<'a> {
    /// Somebody sent an HTTP request.
    Request {
        /// GET, POST, …
        method: &'a str,
        /// Path and query.
        path: &'a str,
    },
    /// The model asked for a command.
    Call {
        /// Place in the script, from 0.
        step: usize,
        /// What it attempts.
        label: &'a str,
        /// The command.
        command: &'a str,
    },
    /// The CLI reported on a command.
    Result {
        /// Place in the script, from 0.
        step: usize,
        /// What it attempted.
        label: &'a str,
        /// The command.
        command: &'a str,
        /// What it printed, as far as the CLI showed it.
        output: &'a str,
        /// Its exit status; none if the shell did not live to tell.
        exit: Option<i32>,
    },
}

/// An append-only file of entries; each is written whole before the model answers.
pub(crate) struct Journal(Mutex<File>);

impl Journal {
    /// Opens or creates the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(Mutex::new(file.with_context(|| format!("failed to open the log {}", path.display()))?)))
    }

    /// Writes one line.
    pub(crate) fn append(&self, entry: &Entry<'_>) -> Result<()> {
        let mut line = serde_json::to_vec(entry).context("failed to encode a log line")?;
        line.push(b'\n');
        let mut file = self.0.lock().map_err(|_| anyhow!("a thread failed while it wrote the log"))?;
        file.write_all(&line).context("failed to write the log")
    }
}
