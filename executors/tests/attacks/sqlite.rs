//! SQLite: what a statement does is found out from SQLite, and only what is allowed happens.

use crate::executor::{bounds, carry_out, directory, prepare, reading};
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, Task};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// A database with two notes, one of them full of verbs.
fn database() -> (tempfile::TempDir, String) {
    let (directory, root) = directory();
    let path = format!("{root}/db");
    let schema = "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT, data BLOB);
        INSERT INTO notes (note, data) VALUES ('please update me', x'00ff'), ('delete; drop table notes', NULL);
        CREATE TABLE log (entry TEXT);
        CREATE VIEW shown AS SELECT note FROM notes;
        CREATE TRIGGER noted AFTER INSERT ON notes BEGIN INSERT INTO log VALUES (new.note); END;
        CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('to be found');";
    Connection::open(&path).unwrap().execute_batch(schema).unwrap();
    (directory, path)
}

fn task(path: &str, query: &str, parameters: &[Value]) -> Task {
    Task::Sqlite { path: path.to_owned(), query: query.to_owned(), parameters: parameters.to_vec() }
}

fn count(path: &str) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM notes", [], |row| row.get(0)).unwrap()
}

const READS: &[&str] = &[
    "SELECT * FROM notes WHERE note = 'please update me'",
    "SELECT 'drop table notes; delete from notes; insert, attach, pragma'",
    "select note from shown -- delete",
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 10) SELECT sum(n) FROM c",
    "VALUES (1), (2)",
    "EXPLAIN QUERY PLAN SELECT * FROM notes",
    "SELECT * FROM words WHERE words MATCH 'found'",
    "SELECT name FROM sqlite_schema;",
    "SELECT 1; -- nothing more",
];

const CHANGES: &[&str] = &[
    "INSERT INTO notes (note) VALUES ('x')",
    "INSERT INTO notes (note) VALUES ('x') RETURNING id",
    "UPDATE notes SET note = 'x'",
    "DELETE FROM notes",
    "WITH x AS (SELECT 1) DELETE FROM notes",
    "REPLACE INTO notes (id, note) VALUES (1, 'x')",
    "INSERT INTO notes (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x'",
    "INSERT INTO words VALUES ('more')",
    "/* SELECT */ DELETE FROM notes WHERE note IN (SELECT note FROM shown)",
];

const REFUSED: &[&str] = &[
    "DROP TABLE notes",
    "CREATE TABLE x (y)",
    "CREATE TEMP TABLE x (y)",
    "CREATE TABLE x AS SELECT * FROM notes",
    "CREATE INDEX i ON notes (note)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TRIGGER t AFTER DELETE ON notes BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE v USING fts5(a)",
    "ALTER TABLE notes ADD COLUMN x",
    "DROP VIEW shown",
    "DROP TRIGGER noted",
    "REINDEX",
    "ANALYZE",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA table_info(notes)",
    "PRAGMA writable_schema = 1",
    "PRAGMA query_only = 0",
    "EXPLAIN PRAGMA user_version",
    "PRAGMA page_size",
    "SELECT * FROM pragma_table_info('notes')",
    "ATTACH '/tmp/other' AS other",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO '/tmp/agentos-copy'",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT writefile('/tmp/x', 'y')",
    "SELECT readfile('/etc/passwd')",
    "SELECT edit('x')",
    "SELECT fts3_tokenizer('simple')",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "RELEASE s",
    "SELECT 1; DELETE FROM notes",
    "DELETE FROM notes; SELECT 1",
    "SELECT 1; DROP TABLE notes",
    "SELECT 1; SELECT 2",
    "UPDATE sqlite_schema SET sql = ''",
    "DELETE FROM sqlite_sequence",
    "INSERT INTO sqlite_schema VALUES (1,2,3,4,5)",
    "SELECT * FROM sqlite_dbpage",
    "",
    "  -- nothing",
    ";",
    "nonsense",
    "SELECT * FROM nowhere",
    "SELECT 1 \0; DROP TABLE notes",
    "SELECT 1\0",
];

#[test]
fn reading_is_told_from_changing_by_what_sqlite_would_do() {
    let (_directory, path) = database();
    for query in READS {
        assert_eq!(prepare(&task(&path, query, &[])).unwrap().1.reads, Some(true), "{query}");
        carry_out(&task(&path, query, &[]), reading()).unwrap_or_else(|reason| panic!("{query}: {reason:?}"));
    }
    for query in CHANGES {
        assert_eq!(prepare(&task(&path, query, &[])).unwrap().1.reads, Some(false), "{query}");
        assert_eq!(carry_out(&task(&path, query, &[]), reading()), Err(RefusalReason::ReadOnly), "{query}");
        assert_eq!(count(&path), 2, "{query}");
    }
    for query in CHANGES {
        carry_out(&task(&path, query, &[]), bounds()).unwrap_or_else(|reason| panic!("{query}: {reason:?}"));
    }
}

#[test]
fn the_schema_other_files_and_settings_are_out_of_reach() {
    let (_directory, path) = database();
    let before = fs::read(&path).unwrap();
    for query in REFUSED {
        for bounds in [bounds(), reading()] {
            assert_eq!(carry_out(&task(&path, query, &[]), bounds), Err(RefusalReason::StatementRefused), "{query}");
        }
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(fs::metadata("/tmp/agentos-copy").is_err());
    assert_eq!(count(&path), 2);
}

#[test]
fn values_and_parameters_keep_what_they_are() {
    let (_directory, path) = database();
    let run = |query: &str, parameters: &[Value]| carry_out(&task(&path, query, parameters), bounds());
    let parameters = [json!(null), json!(-7), json!(0.5), json!("'; DROP TABLE notes; --")];
    let data = run("SELECT ? AS a, ? AS b, ?, ?", &parameters).unwrap();
    assert_eq!(data["rows"], json!([parameters]));
    assert_eq!(data["columns"][0], "a");
    let data = run("SELECT note, data, 1e999, -1e999 FROM notes", &[]).unwrap();
    assert_eq!(data["rows"][0], json!(["please update me", {"base64": "AP8="}, "Infinity", "-Infinity"]));
    let data = run("UPDATE notes SET note = ?1 WHERE id > ?2 RETURNING note", &[json!("y"), json!(0)]).unwrap();
    assert_eq!(data, json!({"columns": ["note"], "rows": [["y"], ["y"]], "rows_affected": 2}));
    for wrong in [&[json!(true)][..], &[json!([1])], &[json!(u64::MAX)], &[], &[json!(1), json!(2)]] {
        assert_eq!(run("SELECT ?", wrong), Err(RefusalReason::BadParameter), "{wrong:?}");
    }
}

#[test]
fn a_result_that_is_too_large_changes_nothing() {
    let (_directory, path) = database();
    let small = Bounds { max_bytes: Some(1000), ..bounds() };
    let long = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT n FROM c";
    assert_eq!(carry_out(&task(&path, long, &[]), small.clone()), Err(RefusalReason::TooLarge));
    let returning = "UPDATE notes SET note = hex(zeroblob(1000)) RETURNING note";
    assert_eq!(carry_out(&task(&path, returning, &[]), small.clone()), Err(RefusalReason::TooLarge));
    let data = carry_out(&task(&path, "SELECT note FROM notes ORDER BY id", &[]), small).unwrap();
    assert_eq!(data["rows"][0][0], "please update me");
    assert_eq!(
        carry_out(&task(&path, "SELECT zeroblob(1000000000)", &[]), bounds()),
        Err(RefusalReason::StatementRefused)
    );
}

#[test]
fn nothing_runs_or_waits_longer_than_allowed() {
    let (_directory, path) = database();
    let short = Bounds { timeout_ms: 200, ..bounds() };
    let endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT count(*) FROM c";
    let begun = Instant::now();
    assert_eq!(carry_out(&task(&path, endless, &[]), short.clone()), Err(RefusalReason::Timeout));
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE; UPDATE notes SET note = 'held'").unwrap();
    // Looking needs the schema, which is locked as well; so the lock comes between the steps.
    other.execute_batch("ROLLBACK").unwrap();
    let (mut executor, _) = prepare(&task(&path, "DELETE FROM notes", &[])).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(crate::executor::outcome(executor.perform(short)), Err(RefusalReason::Timeout));
    other.execute_batch("ROLLBACK").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(count(&path), 2);
}

#[test]
fn a_hostile_file_is_an_error_and_nothing_worse() {
    let (_directory, path) = database();
    let whole = fs::read(&path).unwrap();
    let query = task(&path, "SELECT * FROM notes, shown, words", &[]);
    for at in (0..whole.len()).step_by(97) {
        let mut broken = whole.clone();
        broken[at] ^= 0xff;
        fs::write(&path, broken).unwrap();
        // Whatever comes of it, it comes from the executor, which did not die.
        match carry_out(&query, reading()) {
            Ok(_) | Err(RefusalReason::StatementRefused | RefusalReason::WrongType | RefusalReason::HostRefused) => {}
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(carry_out(&query, reading()).is_err());
    fs::write(&path, "this is no database, and long enough to be looked at".repeat(100)).unwrap();
    assert_eq!(carry_out(&query, reading()), Err(RefusalReason::WrongType));
    fs::remove_file(&path).unwrap();
    assert_eq!(carry_out(&query, reading()), Err(RefusalReason::NotFound));
    assert!(fs::metadata(&path).is_err(), "none is made");
}

#[test]
fn a_hostile_schema_gets_no_further_than_the_statement() {
    let (_directory, path) = database();
    let hostile = "CREATE VIEW trap AS SELECT load_extension('x');
        CREATE VIEW pages AS SELECT * FROM sqlite_dbpage;
        CREATE TRIGGER poison BEFORE DELETE ON notes BEGIN SELECT load_extension('x'); END;
        CREATE TRIGGER quiet BEFORE UPDATE ON notes BEGIN DELETE FROM log; END;
        INSERT INTO log VALUES ('entry');";
    Connection::open(&path).unwrap().execute_batch(hostile).unwrap();
    for query in ["SELECT * FROM trap", "SELECT * FROM pages", "DELETE FROM notes"] {
        assert_eq!(carry_out(&task(&path, query, &[]), bounds()), Err(RefusalReason::StatementRefused), "{query}");
    }
    // What a trigger would change is a change.
    assert_eq!(carry_out(&task(&path, "UPDATE notes SET note = 1", &[]), reading()), Err(RefusalReason::ReadOnly));
    carry_out(&task(&path, "SELECT * FROM shown", &[]), reading()).unwrap();
}

#[test]
fn the_file_is_the_one_that_was_looked_at() {
    let (_directory, path) = database();
    std::os::unix::fs::symlink(&path, format!("{path}-link")).unwrap();
    assert_eq!(carry_out(&task(&format!("{path}-link"), "SELECT 1", &[]), reading()), Err(RefusalReason::PathEscapes));
    assert_eq!(carry_out(&task("file:/tmp/x?mode=rwc", "SELECT 1", &[]), reading()), Err(RefusalReason::BadParameter));
    assert_eq!(carry_out(&task("/dev/null", "SELECT 1", &[]), reading()), Err(RefusalReason::WrongType));
    let (mut executor, _) = prepare(&task(&path, "DELETE FROM notes", &[])).unwrap();
    fs::copy(&path, format!("{path}-copy")).unwrap();
    fs::rename(format!("{path}-copy"), &path).unwrap();
    let outcome = crate::executor::outcome(executor.perform(bounds()));
    assert_eq!(outcome, Err(RefusalReason::ApprovalActionMismatch));
    assert_eq!(count(&path), 2);
    carry_out(&task(&path, "DELETE FROM notes", &[]), bounds()).unwrap();
    assert_eq!(count(&path), 0);
}
