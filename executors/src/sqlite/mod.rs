//! One statement for an SQLite database.
//!
//! SQLite itself says what a statement does, while it compiles it: its authorizer is asked for every table, function and
//! change, also of views and triggers. So no text is searched for words here. Looking happens on a read-only connection.

mod guard;
mod open;

use crate::descriptors::shown;
use crate::refusal::{Outcome, Refusal};
use crate::table::{Table, binary, deadline, real, text};
use guard::{Guard, Kind};
use open::{Access, Database};
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, Prepared};
use rusqlite::types::{Value as Parameter, ValueRef};
use rusqlite::{Connection, Error, ErrorCode};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long looking may take.
const LOOKING: Duration = Duration::from_secs(10);

/// A statement that SQLite has understood, and the database that is open for reading.
#[derive(Debug)]
pub(crate) struct Statement {
    database: Database,
    query: String,
    parameters: Vec<Parameter>,
    kind: Kind,
}

impl Statement {
    pub(crate) fn prepare(path: &str, query: String, parameters: &[Value]) -> Outcome<(Prepared, Self)> {
        // SQLite would read no further, and not say so.
        if query.contains('\0') {
            return Err(Refusal::new(RefusalReason::StatementRefused, "the statement contains the byte 0"));
        }
        let parameters = parameters.iter().map(parameter).collect::<Outcome<Vec<_>>>()?;
        let mut database = Database::open(path, Access::Read, Instant::now() + LOOKING)?;
        let guard = Guard::watch(&mut database.connection, Access::Write)?;
        let expected = compile(&database.connection, &guard, &query)?;
        if expected != parameters.len() {
            let message = format!("the statement has {expected} parameters, and {} are given", parameters.len());
            return Err(Refusal::new(RefusalReason::BadParameter, message));
        }
        let kind = guard.kind()?;
        let prepared = Prepared {
            paths: vec![shown(PathBuf::from(path))?],
            reads: Some(kind == Kind::Reads),
            preview: Some(format!("{query}\n")),
            ..Prepared::default()
        };
        Ok((prepared, Self { database, query, parameters, kind }))
    }

    pub(crate) fn perform(mut self, bounds: &Bounds) -> Outcome<Value> {
        let deadline = deadline(bounds);
        match self.kind {
            Kind::Reads => {
                self.database.limit_time(deadline)?;
                let guard = Guard::watch(&mut self.database.connection, Access::Read)?;
                self.run(&self.database.connection, &guard, bounds)
            }
            Kind::Changes if bounds.read_only => Err(Refusal::new(
                RefusalReason::ReadOnly,
                "the statement would change the database, and only reading is allowed",
            )),
            Kind::Changes => self.change(deadline, bounds),
        }
    }

    /// Changes are kept only when their whole result could be returned.
    fn change(&self, deadline: Instant, bounds: &Bounds) -> Outcome<Value> {
        let mut database = Database::open(&self.database.path, Access::Write, deadline)?;
        database.confirm(&self.database)?;
        let connection = &mut database.connection;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| failed(&error))?;
        let guard = Guard::watch(connection, Access::Write)?;
        // An early return closes the connection, which rolls back.
        let data = self.run(connection, &guard, bounds)?;
        Guard::dismiss(connection)?;
        connection.execute_batch("COMMIT").map_err(|error| failed(&error))?;
        Ok(data)
    }

    fn run(&self, connection: &Connection, guard: &Guard, bounds: &Bounds) -> Outcome<Value> {
        let explained = |error: &Error| guard.explain().unwrap_or_else(|| failed(error));
        let mut statement = connection.prepare(&self.query).map_err(|error| explained(&error))?;
        for (index, parameter) in self.parameters.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, parameter).map_err(|error| failed(&error))?;
        }
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let width = columns.len();
        let mut table = Table::new(columns, bounds)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| explained(&error))? {
            let cell = |index| row.get_ref(index).map(value).map_err(|error| failed(&error));
            table.push((0..width).map(cell).collect::<Outcome<_>>()?)?;
        }
        drop(rows);
        let changed = if self.kind == Kind::Changes { connection.changes() } else { 0 };
        Ok(table.finish(changed))
    }
}

/// The number of the statement's parameters.
fn compile(connection: &Connection, guard: &Guard, query: &str) -> Outcome<usize> {
    match connection.prepare(query) {
        // SQLite counts a change of the schema, or of a setting, that its authorizer is not asked for.
        Ok(statement) if guard.kind()? == Kind::Reads && !statement.readonly() => {
            Err(Refusal::new(RefusalReason::StatementRefused, "the statement is not one of those that are allowed"))
        }
        Ok(statement) => Ok(statement.parameter_count()),
        Err(error) => Err(guard.explain().unwrap_or_else(|| failed(&error))),
    }
}

fn parameter(value: &Value) -> Outcome<Parameter> {
    let wrong =
        || Refusal::new(RefusalReason::BadParameter, format!("{value} is no parameter: null, a number or text"));
    match value {
        Value::Null => Ok(Parameter::Null),
        Value::String(text) => Ok(Parameter::Text(text.clone())),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Ok(Parameter::Integer(integer)),
            // An integer that SQLite does not have would become another number.
            None if number.is_u64() => Err(wrong()),
            None => number.as_f64().map(Parameter::Real).ok_or_else(wrong),
        },
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(wrong()),
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => integer.into(),
        ValueRef::Real(number) => real(number),
        ValueRef::Text(bytes) => text(bytes),
        ValueRef::Blob(bytes) => binary(bytes),
    }
}

/// What SQLite answered.
fn failed(error: &Error) -> Refusal {
    let reason = match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => {
            return Refusal::new(RefusalReason::Timeout, "the statement took longer than allowed");
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => RefusalReason::Timeout,
        Some(ErrorCode::ReadOnly) => RefusalReason::ReadOnly,
        Some(ErrorCode::NotADatabase) => RefusalReason::WrongType,
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::FileLockingProtocolFailed,
        ) => RefusalReason::HostRefused,
        _ => RefusalReason::StatementRefused,
    };
    Refusal::new(reason, format!("SQLite: {error}"))
}
