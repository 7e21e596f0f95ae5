//! What the person sees, and the count of what did not hold.

use std::{
    env,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use anyhow::Error;

use crate::agent::Cli;

/// One line of a chapter's table.
#[derive(Debug)]
pub(crate) struct Row {
    /// In words.
    pub(crate) attempted: String,
    /// What came of it.
    pub(crate) executed: &'static str,
    /// Which layer said no, and how; empty if none did.
    pub(crate) stopped_by: String,
}

/// The story as it is told.
pub(crate) struct Story {
    held: usize,
    broken: usize,
    coloured: bool,
}

/// Prints a line. A reader that went away (`make demo | head`) does not stop the story, which ends by its exit status.
fn say(line: &str) {
    writeln!(io::stdout(), "{line}").unwrap_or_default();
}

impl Story {
    /// An untold story.
    pub(crate) fn new() -> Self {
        Self { held: 0, broken: 0, coloured: io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none() }
    }

    /// Who plays.
    pub(crate) fn title(&self, cli: &Cli, ready_line: &str) {
        say(&format!("\n{}", self.bold("A real coding agent: confined, run, stopped, killed")));
        say(&format!("  agent   {}, unmodified, from the npm registry", cli.package()));
        say("  model   a script inside the sandbox; it plays a model that turns hostile");
        say("  policy  coding-agent, and leave to run the agent's own program");
        say(&format!("  daemon  {ready_line}"));
    }

    /// A new chapter.
    pub(crate) fn chapter(&self, heading: &str) {
        say(&format!("\n{}", self.bold(heading)));
    }

    /// A line that is neither promise nor table.
    pub(crate) fn note(&self, text: &str) {
        say(&format!("  {text}"));
    }

    /// A table of attempts.
    pub(crate) fn table(&self, rows: &[Row]) {
        let width = |cell: fn(&Row) -> &str, heading: &str| {
            rows.iter().map(|row| cell(row).chars().count()).chain([heading.len()]).max().unwrap_or_default()
        };
        let (first, second) = (width(|row| &row.attempted, "attempted"), width(|row| row.executed, "executed"));
        say(&format!("  {}", self.dim(&format!("{:first$}  {:second$}  stopped by", "attempted", "executed"))));
        for Row { attempted, executed, stopped_by } in rows {
            say(&format!("  {}", format!("{attempted:first$}  {executed:second$}  {stopped_by}").trim_end()));
        }
    }

    /// Says whether an expectation held; if not, the story goes on and ends badly.
    pub(crate) fn check(&mut self, expectation: &str, seen: Result<(), String>) {
        match seen {
            Ok(()) => {
                self.held += 1;
                say(&format!("  {} {expectation}", self.paint("32", "✓")));
            }
            Err(instead) => {
                self.broken += 1;
                say(&format!("  {} {expectation}\n      but: {instead}", self.paint("31", "✗")));
            }
        }
    }

    /// The story could not be told to its end.
    pub(crate) fn broke_off(&mut self, error: &Error) {
        self.broken += 1;
        say(&format!("\n{} {error:#}", self.paint("31", "The story broke off:")));
    }

    /// The last line and the exit status.
    pub(crate) fn ending(&self) -> ExitCode {
        if self.broken == 0 {
            say(&format!("\n{}", self.bold(&format!("All {} expectations held; nothing was left behind.", self.held))));
            return ExitCode::SUCCESS;
        }
        say(&format!("\n{}", self.paint("31", &format!("{} expectations held, {} did not.", self.held, self.broken))));
        ExitCode::FAILURE
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
