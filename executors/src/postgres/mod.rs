//! One statement for a PostgreSQL server on this host.
//!
//! ```text
//!   prepare:  connect ── Parse, which takes exactly one statement ── its first word is on the list
//!   perform:  BEGIN READ ONLY; limits of time; SELECT 1 ── Bind, Execute ── ROLLBACK, or COMMIT when everything fitted
//! ```
//! The server says what a statement may do, by the transaction's mode and the role's rights: only it knows what a function in
//! a `SELECT` does. `SELECT 1` takes the transaction's snapshot, and after that the server refuses `read write`. The list of first
//! words keeps out what neither mode nor rights decide: `COPY … TO PROGRAM`, `LISTEN`, `DO`, `SET`, `COMMIT`.
//!
//! Values travel as text, both ways, so every type of the server's has a form here.

mod connection;
mod login;
mod settings;
mod statement;
mod values;

use crate::refusal::{Outcome, Refusal};
use crate::table::{Table, bound, deadline};
use connection::Connection;
use postgres_protocol::message::backend::{Message, RowDescriptionBody};
use postgres_protocol::message::frontend;
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, Prepared};
use serde_json::Value;
use settings::Settings;
use std::time::{Duration, Instant};
use values::{Column, affected, columns, row};

/// How long connecting and looking may take.
const LOOKING: Duration = Duration::from_secs(10);
/// The statement's name on the connection.
const NAME: &str = "action";
/// Format code 0.
const TEXT: Option<i16> = Some(0);

/// A statement that the server has understood.
#[derive(Debug)]
pub(crate) struct Statement {
    connection: Connection,
    parameters: Vec<Option<String>>,
    changes: bool,
}

impl Statement {
    pub(crate) fn prepare(
        settings: &str,
        password: &str,
        query: &str,
        parameters: &[Value],
    ) -> Outcome<(Prepared, Self)> {
        let settings = Settings::parse(settings)?;
        let changes = statement::changes(query)?;
        let parameters = parameters.iter().map(values::parameter).collect::<Outcome<Vec<_>>>()?;
        let mut connection = Connection::open(&settings, Instant::now() + LOOKING)?;
        login::log_in(&mut connection, &settings, password)?;
        connection.send(|buffer| {
            frontend::parse(NAME, query, [], buffer)?;
            frontend::describe(b'S', NAME, buffer)?;
            frontend::sync(buffer);
            Ok(())
        })?;
        let mut expected = 0;
        connection.until_ready(|message| {
            if let Message::ParameterDescription(body) = message {
                expected = values::count(&body)?;
            }
            Ok(())
        })?;
        if expected != parameters.len() {
            let message = format!("the statement has {expected} parameters, and {} are given", parameters.len());
            return Err(Refusal::new(RefusalReason::BadParameter, message));
        }
        // Of a SELECT only the server knows, when it runs.
        let reads = changes.then_some(false);
        let prepared = Prepared { reads, preview: Some(format!("{query}\n")), ..Prepared::default() };
        Ok((prepared, Self { connection, parameters, changes }))
    }

    pub(crate) fn perform(mut self, bounds: &Bounds) -> Outcome<Value> {
        if self.changes && bounds.read_only {
            let message = "the statement would change the database, and only reading is allowed";
            return Err(Refusal::new(RefusalReason::ReadOnly, message));
        }
        self.connection.limit(deadline(bounds), bound(bounds));
        self.command(&begin(bounds))?;
        let data = self.run(bounds)?;
        let end = if bounds.read_only { "ROLLBACK" } else { "COMMIT" };
        // A transaction that has failed meanwhile is ended by either, and the tag tells.
        if self.command(end)? == end {
            return Ok(data);
        }
        Err(Refusal::new(RefusalReason::StatementRefused, "PostgreSQL did not commit the transaction"))
    }

    /// Text of our own, and the tag of its last command.
    fn command(&mut self, text: &str) -> Outcome<String> {
        self.connection.send(|buffer| frontend::query(text, buffer))?;
        let mut tag = String::new();
        self.connection.until_ready(|message| {
            if let Message::CommandComplete(body) = message {
                body.tag().map_err(|error| connection::garbled(&error))?.clone_into(&mut tag);
            }
            Ok(())
        })?;
        Ok(tag)
    }

    fn run(&mut self, bounds: &Bounds) -> Outcome<Value> {
        let parameters = &self.parameters;
        self.connection.send(|buffer| {
            frontend::bind("", NAME, TEXT, parameters, values::write, TEXT, buffer).map_err(values::unwritten)?;
            frontend::describe(b'P', "", buffer)?;
            frontend::execute("", 0, buffer)?;
            frontend::sync(buffer);
            Ok(())
        })?;
        let mut result = Rows { columns: Vec::new(), table: Table::new(Vec::new(), bounds)?, affected: 0 };
        let state = self.connection.until_ready(|message| result.take(message, bounds))?;
        if state != b'T' {
            return Err(Refusal::new(RefusalReason::StatementRefused, "the statement ended the transaction"));
        }
        Ok(result.table.finish(result.affected))
    }
}

/// What the server sends for the statement.
struct Rows {
    columns: Vec<Column>,
    table: Table,
    affected: u64,
}

impl Rows {
    fn take(&mut self, message: Message, bounds: &Bounds) -> Outcome<()> {
        match message {
            Message::RowDescription(body) => self.head(&body, bounds),
            Message::DataRow(body) => self.table.push(row(&self.columns, &body)?),
            Message::CommandComplete(body) => {
                self.affected = affected(body.tag().map_err(|error| connection::garbled(&error))?);
                Ok(())
            }
            Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                Err(Refusal::new(RefusalReason::StatementRefused, "COPY is not allowed"))
            }
            _ => Ok(()),
        }
    }

    fn head(&mut self, body: &RowDescriptionBody, bounds: &Bounds) -> Outcome<()> {
        self.columns = columns(body)?;
        self.table = Table::new(self.columns.iter().map(|column| column.name.clone()).collect(), bounds)?;
        Ok(())
    }
}

/// The limits come first, the snapshot last: from then on the mode stays.
fn begin(bounds: &Bounds) -> String {
    let mode = if bounds.read_only { "READ ONLY" } else { "READ WRITE" };
    // 0 would mean none.
    let time = bounds.timeout_ms.clamp(1, 86_400_000);
    format!(
        "BEGIN TRANSACTION {mode}; SET LOCAL statement_timeout = {time}; SET LOCAL lock_timeout = {time}; \
         SET LOCAL idle_in_transaction_session_timeout = {time}; SELECT 1"
    )
}
