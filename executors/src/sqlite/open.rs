//! Opening a database that may be hostile, for a statement that may be.

use super::failed;
use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use protocol::executor::MAX_CONTENT;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2, stat};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How often the clock is looked at, in instructions of SQLite's machine: some tens of microseconds.
const STEPS: i32 = 1000;
/// Memory is SQLite's own business up to here; a query that sorts more ends with an error, and no file is written for it.
const SETTINGS: &str = "PRAGMA hard_heap_limit = 268435456; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; \
     PRAGMA cell_size_check = ON;";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A connection, and the file that it was made to.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) path: String,
    /// Held so that its number is not given to another file.
    file: OwnedFd,
}

impl Database {
    /// Opens what is at `path`, which has no links in it and is a regular file.
    pub(super) fn open(path: &str, access: Access, deadline: Instant) -> Outcome<Self> {
        let refused = |errno| Refusal::errno(errno, &format!("open database {path:?}"));
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        if !path.starts_with('/') {
            return Err(Refusal::new(RefusalReason::BadParameter, format!("path {path:?} is not absolute")));
        }
        let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).map_err(refused)?;
        if FileType::from_raw_mode(fstat(&file).map_err(refused)?.st_mode) != FileType::RegularFile {
            return Err(Refusal::new(RefusalReason::WrongType, format!("{path:?} is no regular file")));
        }
        let wanted = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let flags = wanted
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
        let mut database = Self { connection, path: path.to_owned(), file };
        // SQLite opens by name; this shows that it was the file that was looked at.
        if database.is(&stat(path).map_err(refused)?) {
            database.distrust()?;
            database.limit_time(deadline)?;
            Ok(database)
        } else {
            Err(replaced(path))
        }
    }

    /// Refuses when this is not the file that `other` is.
    pub(super) fn confirm(&self, other: &Self) -> Outcome<()> {
        let status = fstat(&other.file).map_err(|errno| Refusal::errno(errno, "look at the database"))?;
        if self.is(&status) { Ok(()) } else { Err(replaced(&self.path)) }
    }

    /// From now on nothing runs or waits beyond `deadline`.
    pub(super) fn limit_time(&mut self, deadline: Instant) -> Outcome<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.connection
            .busy_timeout(left.min(Duration::from_secs(3600)))
            .and_then(|()| self.connection.progress_handler(STEPS, Some(move || Instant::now() >= deadline)))
            .map_err(|error| failed(&error))
    }

    fn is(&self, status: &rustix::fs::Stat) -> bool {
        fstat(&self.file).is_ok_and(|own| (own.st_dev, own.st_ino) == (status.st_dev, status.st_ino))
    }

    /// Neither the schema in the file nor the statement can reach beyond the tables.
    fn distrust(&self) -> Outcome<()> {
        let configuration = [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
        ];
        let largest = i32::try_from(MAX_CONTENT).unwrap_or(i32::MAX);
        let limits = [
            (Limit::SQLITE_LIMIT_LENGTH, largest),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 200),
            (Limit::SQLITE_LIMIT_VDBE_OP, 250_000),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
            (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 100),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        ];
        let apply = || {
            configuration
                .into_iter()
                .try_for_each(|(key, value)| self.connection.set_db_config(key, value).map(drop))?;
            limits.into_iter().try_for_each(|(limit, value)| self.connection.set_limit(limit, value).map(drop))?;
            self.connection.execute_batch(SETTINGS)
        };
        apply().map_err(|error| failed(&error))
    }
}

fn replaced(path: &str) -> Refusal {
    Refusal::new(
        RefusalReason::ApprovalActionMismatch,
        format!("database {path:?} was replaced by another file meanwhile"),
    )
}
