//! Which task goes where.

use crate::descriptors::hex;
use crate::exec::Program;
use crate::files::{Deletion, Listing, Reading, Writing};
use crate::refusal::{Outcome, Refusal};
use crate::{postgres, sqlite};
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, Prepared, Task};
use serde_json::Value;

/// In bytes.
const LONGEST_PREVIEW: usize = 64 << 10;

/// What is open and waits.
#[derive(Debug)]
pub(crate) enum Ready {
    Read(Reading),
    Write(Writing),
    Delete(Deletion),
    List(Listing),
    Exec(Program),
    Sqlite(sqlite::Statement),
    Postgres(postgres::Statement),
}

/// Opens and looks; changes nothing.
pub(crate) fn prepare(task: Task, preview: bool) -> Outcome<(Prepared, Ready)> {
    let (mut prepared, ready) = match task {
        Task::FileRead { root, path, offset, length } => {
            Reading::prepare(&root, &path, offset..length.map_or(u64::MAX, |length| offset.saturating_add(length)))
                .map(|(prepared, reading)| (prepared, Ready::Read(reading)))
        }
        Task::FileWrite { root, path, content, mode } => {
            Writing::prepare(&root, &path, content.0, mode).map(|(prepared, writing)| (prepared, Ready::Write(writing)))
        }
        Task::FileDelete { root, path } => {
            Deletion::prepare(&root, &path).map(|(prepared, deletion)| (prepared, Ready::Delete(deletion)))
        }
        Task::ListDirectory { root, path } => {
            Listing::prepare(&root, &path).map(|(prepared, listing)| (prepared, Ready::List(listing)))
        }
        Task::Exec { argv, search, env, cwd } => {
            Program::prepare(argv, &search, env, &cwd).map(|(prepared, program)| (prepared, Ready::Exec(program)))
        }
        Task::Sqlite { path, query, parameters } => sqlite::Statement::prepare(&path, query, &parameters)
            .map(|(prepared, statement)| (prepared, Ready::Sqlite(statement))),
        Task::Postgres { connection, password, query, parameters } => {
            let password = password.unwrap_or_default();
            postgres::Statement::prepare(&connection, &password, &query, &parameters)
                .map(|(prepared, statement)| (prepared, Ready::Postgres(statement)))
        }
    }?;
    prepared.preview = prepared.preview.filter(|_| preview).map(cut);
    Ok((prepared, ready))
}

/// What is too long to be looked at says how much is not shown.
fn cut(preview: String) -> String {
    if preview.len() <= LONGEST_PREVIEW {
        return preview;
    }
    let shown = preview.get(..preview.floor_char_boundary(LONGEST_PREVIEW)).unwrap_or_default();
    let rest = preview.len() - shown.len();
    format!("{shown}\n… {rest} more bytes are not shown; the whole has sha256 {}\n", hex(preview.as_bytes()))
}

impl Ready {
    /// Does it, within `bounds`, and says what came of it.
    pub(crate) fn perform(self, bounds: &Bounds) -> Outcome<Value> {
        if bounds.read_only && matches!(self, Self::Write(_) | Self::Delete(_)) {
            return Err(Refusal::new(RefusalReason::ReadOnly, "it would change a file, and only reading is allowed"));
        }
        match self {
            Self::Read(reading) => reading.perform(bounds),
            Self::Write(writing) => writing.perform(bounds),
            Self::Delete(deletion) => deletion.perform(bounds),
            Self::List(listing) => listing.perform(bounds),
            Self::Exec(program) => program.perform(bounds).map(|never| match never {}),
            Self::Sqlite(statement) => statement.perform(bounds),
            Self::Postgres(statement) => statement.perform(bounds),
        }
    }
}
