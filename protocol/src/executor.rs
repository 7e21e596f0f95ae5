//! Between the daemon and `agentos-executor`, the confined process that carries out one action.
//!
//! JSON, a line each way at a time, on its standard input and output:
//! ```text
//!   daemon ── Order::Prepare{task} ──► executor opens what the action is about, without any effect
//!          ◄── Report::Prepared{…} ──  says what it is: real paths, program, kind of statement
//!   daemon decides on that, has the decision sealed
//!          ── Order::Perform{bounds} ─► does it, with what it has open
//!          ◄── Report::Done{data} ──── or Report::Refused{reason, message}, here or before
//! ```
//! End of file instead of an order: it ends, and nothing has been done. Nothing may follow the first line before its answer.
//!
//! After `Perform` of a [`Task::Exec`] there is no report: the process becomes the program, its output is the program's, and
//! what follows the line on its input is the program's input. Only if the program cannot be started there is one,
//! [`Report::Refused`], and the exit code is [`NOT_STARTED`]. A program can pretend that; it then denies having run.

use crate::action::RefusalReason;
use crate::bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest line in bytes; contents are base64 within it.
pub const MAX_LINE: usize = 24 << 20;
/// Most bytes of a file's content, or of a result, whatever the policy allows.
pub const MAX_CONTENT: u64 = 16 << 20;

/// The executor's exit code when the program of a [`Task::Exec`] could not be started.
pub const NOT_STARTED: u8 = 126;

/// What the executor is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Open and look; change nothing.
    Prepare {
        /// At what.
        task: Task,
        /// Make a [`Prepared::preview`] for a person.
        preview: bool,
    },
    /// Do it.
    Perform {
        /// Within these.
        bounds: Bounds,
    },
}

/// What is to be done. Paths are absolute, `root` is a path that `path` lies at or beneath; nothing is followed out of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case", deny_unknown_fields)]
pub enum Task {
    /// Read a regular file from `offset` on.
    FileRead {
        /// Where nothing is followed out of.
        root: String,
        /// The file.
        path: String,
        /// First byte.
        offset: u64,
        /// Most bytes; all that is allowed when absent.
        length: Option<u64>,
    },
    /// Write a regular file: whole and at once (the old content stays until the new one is on disk), or at its end.
    FileWrite {
        /// Where nothing is followed out of.
        root: String,
        /// The file.
        path: String,
        /// What is written.
        content: Bytes,
        /// How.
        mode: WriteMode,
    },
    /// Remove a regular file or a symbolic link itself.
    FileDelete {
        /// Where nothing is followed out of.
        root: String,
        /// The file.
        path: String,
    },
    /// List a directory.
    ListDirectory {
        /// Where nothing is followed out of.
        root: String,
        /// The directory.
        path: String,
    },
    /// Run a program. It is looked up in `search` when it has no `/`.
    Exec {
        /// Program and arguments.
        argv: Vec<String>,
        /// Directories to look in.
        search: Vec<String>,
        /// The whole environment, `NAME=value`.
        env: Vec<String>,
        /// Working directory.
        cwd: String,
    },
    /// One statement for an SQLite database.
    Sqlite {
        /// The file.
        path: String,
        /// The statement.
        query: String,
        /// Its parameters, in order: null, numbers, text.
        parameters: Vec<Value>,
    },
    /// One statement for a PostgreSQL server.
    Postgres {
        /// How to reach it: keyword=value pairs of libpq, a directory as `host`.
        connection: String,
        /// The role's password, if it needs one.
        password: Option<String>,
        /// The statement.
        query: String,
        /// Its parameters, in order, as text or null.
        parameters: Vec<Value>,
    },
}

/// How a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// As a whole, in place of what is there.
    #[default]
    Replace,
    /// As a new file; one that is there is an error.
    Create,
    /// At the end of what is there.
    Append,
}

/// Within what an action is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Nothing may be changed: a database is opened for reading, a transaction is read-only.
    pub read_only: bool,
    /// Most bytes that are read, written or returned.
    pub max_bytes: Option<u64>,
    /// Most milliseconds.
    pub timeout_ms: u64,
    /// What [`Prepared::state`] must still be; else `approval_action_mismatch` and nothing is done.
    pub state: Option<String>,
    /// Besides the program itself: what it may execute.
    pub executables: Vec<String>,
}

/// What the executor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// It has everything open and waits.
    Prepared(Prepared),
    /// It is done.
    Done {
        /// What came of it.
        data: Value,
    },
    /// It is not done, and nothing was changed.
    Refused {
        /// For programs.
        reason: RefusalReason,
        /// For people.
        message: String,
    },
}

/// What the action is really about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prepared {
    /// The paths that would be touched, links resolved.
    pub paths: Vec<String>,
    /// The program that would be executed, links resolved; for a script also its interpreter in `interpreters`.
    pub program: Option<String>,
    /// What the kernel would start for the program: the interpreters of scripts. The dynamic loader is not among them.
    pub interpreters: Vec<String>,
    /// Whether the statement only reads; absent where only the server knows.
    pub reads: Option<bool>,
    /// Bytes that would be read or written.
    pub size: Option<u64>,
    /// A digest of what is there now and would be changed; an approval is bound to it.
    pub state: Option<String>,
    /// What would happen, for a person: a difference of a file, at most 64 KiB, not escaped.
    pub preview: Option<String>,
}
