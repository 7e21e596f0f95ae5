//! Databases: what a name in a policy is, by the operator's configuration, and the plan for asking it.

use super::asked::{Asked, Query};
use crate::config::{Database, Engine};
use crate::gate::{Refusal, Terms};
use crate::plan::executor::{self, Use, Whom};
use policies::{AccessRequest, Statement, Table};
use protocol::action::RefusalReason;
use protocol::executor::Task;
use sandbox::plan::Plan;
use std::path::Path;

/// Longest password in bytes.
const MOST_PASSWORD: u64 = 4096;

/// The plan and what the executor is told.
pub(super) fn planned(
    databases: &[Database],
    whom: Whom<'_>,
    (table, asked, query): (&Table, &Asked, &Query),
) -> Result<(Plan, Task), Refusal> {
    let name = asked.request.database.as_deref().unwrap_or_default();
    let known = databases.iter().find(|database| database.name == name).ok_or_else(|| unknown(name))?;
    let (text, parameters) = (query.query.clone(), query.parameters.clone());
    match &known.engine {
        Engine::Sqlite(path) => {
            let directory = path.parent().unwrap_or(Path::new("/"));
            // Where nothing may be written, the file is not open for writing either.
            let how = if may_write(table, &asked.request) { Use::Write } else { Use::Read };
            let plan = executor::on_host(whom, directory, how);
            Ok((plan, Task::Sqlite { path: path.display().to_string(), query: text, parameters }))
        }
        Engine::Postgres { connection, socket, password_file } => {
            let password = password_file.as_deref().map(read_password).transpose()?;
            let connection = connection.clone();
            let task = Task::Postgres { connection, password, query: text, parameters };
            Ok((executor::on_socket(whom, socket), task))
        }
    }
}

fn may_write(table: &Table, request: &AccessRequest) -> bool {
    let writing = AccessRequest { statement: Some(Statement::Write), ..request.clone() };
    !matches!(Terms::of(table, &writing), Terms::Deny(_))
}

fn unknown(name: &str) -> Refusal {
    let message = format!("there is no database {:?}; the operator names them in agentosd.yaml", super::cut(name, 80));
    Refusal::new(RefusalReason::NotFound, message)
}

/// The operator's file; its last line break is none of the password's.
fn read_password(path: &Path) -> Result<String, Refusal> {
    let read = || -> std::io::Result<String> {
        use std::io::Read as _;
        let mut text = String::new();
        std::fs::File::open(path)?.take(MOST_PASSWORD).read_to_string(&mut text)?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    read().map_err(|error| {
        crate::journal::provoked(format_args!("cannot read {}: {error}", path.display()));
        Refusal::new(RefusalReason::NotAvailable, "the database's password cannot be read; see the daemon's log")
    })
}
