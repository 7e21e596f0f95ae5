//! Decides what the model says next.
//!
//! The place in the script is read from the conversation that every request carries, not kept here: a CLI that repeats a
//! request after a broken connection gets the same answer again.

use std::{collections::BTreeSet, sync::Mutex, thread, time::Duration};

use anyhow::{Result, anyhow};

use crate::{
    journal::{Entry, Journal},
    script::{Script, Step},
    turn::{Answer, ToolResult, Turn},
};

const CALL_PREFIX: &str = "call_step_";
const SIDE_ANSWER: &str = "Work on the repository";
const LAST_WORD: &str = "Done.";

/// A script being played, and the record of it.
pub(crate) struct Player {
    script: Script,
    journal: Journal,
    told: Mutex<BTreeSet<(&'static str, usize)>>,
}

impl Player {
    /// Starts at the first step.
    pub(crate) fn new(script: Script, journal: Journal) -> Self {
        Self { script, journal, told: Mutex::new(BTreeSet::new()) }
    }

    /// Records that a request came in, whatever it is: the host's side of "was this port reached".
    pub(crate) fn heard(&self, method: &str, path: &str) -> Result<()> {
        self.journal.append(&Entry::Request { method, path })
    }

    /// Takes note of the results in `turn` and gives the next step; blocks for the length of a `wait`.
    pub(crate) fn answer(&self, turn: &Turn) -> Result<Answer> {
        if turn.shell.is_none() {
            return Ok(Answer::Text(SIDE_ANSWER.to_owned()));
        }
        let mut next = 0;
        for result in &turn.results {
            if let Some(index) = step_index(result) {
                self.note_result(index, result)?;
                next = next.max(index + 1);
            }
        }
        loop {
            match self.script.steps.get(next) {
                Some(Step::Wait { wait }) => thread::sleep(Duration::from_secs(*wait)),
                Some(Step::Run { label, run }) => {
                    self.once("call", next, &Entry::Call { step: next, label, command: run })?;
                    let id = format!("{CALL_PREFIX}{next}");
                    return Ok(Answer::Call { id, command: with_status(run), label: label.clone() });
                }
                Some(Step::Say { say }) => return Ok(Answer::Text(say.clone())),
                None => return Ok(Answer::Text(LAST_WORD.to_owned())),
            }
            next += 1;
        }
    }

    fn note_result(&self, index: usize, result: &ToolResult) -> Result<()> {
        let Some(Step::Run { label, run }) = self.script.steps.get(index) else { return Ok(()) };
        let (output, exit) = split_status(&result.output);
        self.once("result", index, &Entry::Result { step: index, label, command: run, output: &output, exit })
    }

    /// Every request repeats the whole conversation; each entry is written once.
    fn once(&self, kind: &'static str, step: usize, entry: &Entry<'_>) -> Result<()> {
        let mut told = self.told.lock().map_err(|_| anyhow!("a thread failed while it wrote the journal"))?;
        if told.insert((kind, step)) { self.journal.append(entry) } else { Ok(()) }
    }
}

fn step_index(result: &ToolResult) -> Option<usize> {
    result.call_id.strip_prefix(CALL_PREFIX)?.parse().ok()
}

/// CLIs report exit statuses in different words or not at all, so the command tells its own. A subshell, so that an
/// `exit` in the command does not skip the report; one pipe for both outputs, because OpenCode sometimes ends before it
/// has read the second.
fn with_status(command: &str) -> String {
    format!("(\n{command}\n) 2>&1\nstatus=$?; printf '\\n[exit status %s]\\n' \"$status\"; (exit \"$status\")")
}

/// Takes the status that [`with_status`] printed out of what the CLI gave back; none if the shell did not get so far.
fn split_status(output: &str) -> (String, Option<i32>) {
    const MARK: &str = "[exit status ";
    let found = output.rfind(MARK).and_then(|start| {
        let (number, _) = output[start + MARK.len()..].split_once(']')?;
        Some((start, number.parse().ok()?))
    });
    match found {
        Some((start, status)) => (output[..start].trim_end().to_owned(), Some(status)),
        None => (output.trim_end().to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_command_tells_its_own_status_and_keeps_it() {
        let shell = Command::new("sh").args(["-c", &with_status("echo hello >&2; exit 7")]).output().expect("sh runs");
        assert_eq!(shell.status.code(), Some(7));
        let (output, exit) = split_status(&String::from_utf8_lossy(&shell.stdout));
        assert_eq!((output.as_str(), exit), ("hello", Some(7)));
    }

    #[test]
    fn a_shell_that_died_has_no_status() {
        assert_eq!(split_status("Killed\n"), ("Killed".to_owned(), None));
    }
}
