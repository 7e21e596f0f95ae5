//! What the scripted model wrote down: the calls it made and the results it got.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

/// One line of the journal.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Request { path: String },
    Call { step: usize, label: String },
    Result { step: usize, output: String, exit: Option<i32> },
}

/// One attempt of the agent.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Place in the script, from 0.
    pub(crate) step: usize,
    /// What was attempted, in words.
    pub(crate) label: String,
    /// What the shell tool gave back.
    pub(crate) output: String,
    /// The command's exit status; none if it never came back.
    pub(crate) exit: Option<i32>,
}

/// All attempts, in order.
pub(crate) fn attempts(path: &Path) -> Result<Vec<Attempt>> {
    let mut attempts: Vec<Attempt> = Vec::new();
    for line in lines(path)? {
        match line {
            Line::Call { step, label } => attempts.push(Attempt { step, label, output: String::new(), exit: None }),
            Line::Result { step, output, exit } => {
                if let Some(attempt) = attempts.iter_mut().find(|attempt| attempt.step == step) {
                    (attempt.output, attempt.exit) = (output, exit);
                }
            }
            Line::Request { .. } => {}
        }
    }
    Ok(attempts)
}

/// The paths that were asked for over HTTP.
pub(crate) fn requests(path: &Path) -> Result<Vec<String>> {
    let paths = lines(path)?.into_iter().filter_map(|line| match line {
        Line::Request { path } => Some(path),
        Line::Call { .. } | Line::Result { .. } => None,
    });
    Ok(paths.collect())
}

fn lines(path: &Path) -> Result<Vec<Line>> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read the journal {}", path.display()))?;
    let parse = |line| serde_json::from_str(line).with_context(|| format!("a journal line that is none: {line}"));
    text.lines().map(parse).collect()
}
