//! What people see: tables, times, sentences, JSON. Text that an agent chose is escaped before it gets here.

mod agent;
pub(crate) mod amount;
pub(crate) mod approval;
pub(crate) mod audit;
mod check;
pub(crate) mod denial;
pub(crate) mod details;
pub(crate) mod event;
mod json;
pub(crate) mod memory;
pub(crate) mod output;
pub(crate) mod policy;
pub(crate) mod service;
mod table;
pub(crate) mod time;

pub(crate) use agent::{agents, how_it_ended, state_word};
pub(crate) use check::checks;
pub(crate) use json::{document, guarded, json_line};

use crate::failure::Failure;
use protocol::text::escape;
use std::io::{self, IsTerminal as _, Write as _};

/// How standard output may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Colours may be used.
    pub(crate) colour: bool,
    /// Columns of the terminal; none when it is not one, and lines may be of any length.
    pub(crate) width: Option<u16>,
}

impl Look {
    /// Standard output as it is; the variable NO_COLOR, when not empty, switches colours off (no-color.org).
    pub(crate) fn of_output() -> Self {
        let terminal = io::stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok().map(|size| size.ws_col);
        Self { colour: terminal && !refused, width: width.filter(|width| terminal && *width > 0) }
    }
}

/// Prints to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Prints a line to standard output.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// Says something to the person, on standard error. The text may quote what an agent chose, so controls are shown.
pub(crate) fn notice(text: &str) {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // A policy's error has lines; a backslash is already doubled where something was escaped.
            '\n' | '\\' => shown.push(character),
            other => shown.push_str(&escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    // Standard error is the last place to complain; when it fails too there is nobody left to tell.
    if writeln!(io::stderr(), "agentctl: {shown}").is_err() {}
}

/// Ends a line on standard error that another program has begun.
pub(crate) fn new_line() {
    // As with a notice: there is nobody left to tell.
    if writeln!(io::stderr()).is_err() {}
}

/// A command line as one text, quoted as a shell would need it.
pub(crate) fn command_line(command: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+^".contains(c);
    let quoted = command.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", escape(word).replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_cannot_move_the_cursor() {
        let command = ["sh".to_owned(), "-c".to_owned(), "echo \x1b[2J it's".to_owned()];
        assert_eq!(command_line(&command), "sh -c 'echo \\u{1b}[2J it'\\''s'");
    }
}
