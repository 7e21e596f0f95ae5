//! PostgreSQL: one statement, in a transaction whose mode it cannot change, within the role's rights and a time.

use crate::executor::{bounds, carry_out, prepare, reading};
use crate::server::Server;
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, Task};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn task(server: &Server, user: &str, query: &str, parameters: &[Value]) -> Task {
    Task::Postgres {
        connection: format!("host={} user={user} dbname=postgres", server.path().display()),
        password: (user == "reader").then(|| "of the reader".to_owned()),
        query: query.to_owned(),
        parameters: parameters.to_vec(),
    }
}

fn run(server: &Server, user: &str, query: &str, bounds: Bounds) -> Result<Value, RefusalReason> {
    carry_out(&task(server, user, query, &[]), bounds)
}

#[test]
fn a_reader_reads_and_changes_nothing() {
    let Some(server) = Server::shared() else { return };
    let data = run(&server, "reader", "SELECT note FROM notes WHERE note = 'please update me'", reading()).unwrap();
    assert_eq!(data, json!({"columns": ["note"], "rows": [["please update me"]], "rows_affected": 0}));
    for query in ["INSERT INTO notes VALUES (3, 'x')", "UPDATE notes SET note = 'x'", "DELETE FROM notes"] {
        assert_eq!(run(&server, "reader", query, reading()), Err(RefusalReason::ReadOnly), "{query}");
        // Its rights end there, too.
        assert_eq!(run(&server, "reader", query, bounds()), Err(RefusalReason::StatementRefused), "{query}");
    }
    assert_eq!(server.value("SELECT count(*) FROM notes WHERE id < 3"), "2");
    let mut other = task(&server, "reader", "SELECT 1", &[]);
    if let Task::Postgres { password, .. } = &mut other {
        *password = Some("wrong".to_owned());
    }
    assert_eq!(carry_out(&other, reading()), Err(RefusalReason::HostRefused));
}

#[test]
fn a_transaction_for_reading_stays_one() {
    let Some(server) = Server::shared() else { return };
    let refused = [
        "WITH x AS (DELETE FROM notes RETURNING id) SELECT * FROM x",
        "SELECT sneak()",
        "SELECT set_config('transaction_read_only', 'off', true), sneak()",
        "SELECT * FROM notes FOR UPDATE",
        "SELECT 1 INTO made",
        "EXPLAIN ANALYZE DELETE FROM notes",
    ];
    for query in refused {
        // Even the superuser's.
        let reason = run(&server, "postgres", query, reading()).unwrap_err();
        assert!([RefusalReason::ReadOnly, RefusalReason::StatementRefused].contains(&reason), "{query}: {reason:?}");
    }
    assert_eq!(server.value("SELECT count(*) FROM notes WHERE id = 99"), "0");
    assert_eq!(
        run(&server, "postgres", "SELECT set_config('transaction_read_only', 'off', true)", reading()),
        Err(RefusalReason::StatementRefused)
    );
    run(&server, "postgres", "SELECT set_config('search_path', 'public', true)", reading()).unwrap();
    // The same function does what it does where changes are allowed.
    assert_eq!(run(&server, "writer", "SELECT sneak()", bounds()).unwrap()["rows"], json!([[99]]));
    assert_eq!(server.value("DELETE FROM notes WHERE id = 99 RETURNING id"), "99");
}

#[test]
fn only_single_queries_and_changes_are_statements() {
    let Some(server) = Server::shared() else { return };
    let refused = [
        "DROP TABLE notes",
        "TRUNCATE notes",
        "CREATE TABLE x (y int)",
        "SET TRANSACTION READ WRITE",
        "SET ROLE postgres",
        "COMMIT",
        "ROLLBACK",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE notes",
        "COMMIT; DROP TABLE notes",
        "; DROP TABLE notes",
        "COPY notes TO PROGRAM 'touch /tmp/agentos-copied'",
        "COPY notes TO '/tmp/agentos-copied'",
        "COPY notes FROM STDIN",
        "COPY notes TO STDOUT",
        "LISTEN x",
        "NOTIFY x",
        "DO 'BEGIN END'",
        "CALL x()",
        "PREPARE x AS SELECT 1",
        "EXECUTE x",
        "DECLARE c CURSOR FOR SELECT 1",
        "VACUUM",
        "LOCK notes",
        "RESET ALL",
        "DISCARD ALL",
        "nonsense",
        "",
        "SELECT * FROM nowhere",
        "/* SELECT */ DROP TABLE notes",
        "EXPLAIN DROP TABLE notes",
    ];
    for query in refused {
        for bounds in [bounds(), reading()] {
            assert_eq!(run(&server, "postgres", query, bounds), Err(RefusalReason::StatementRefused), "{query}");
        }
    }
    assert!(std::fs::metadata("/tmp/agentos-copied").is_err());
    for query in [
        "SELECT 'drop table notes; delete'",
        "VALUES (1)",
        "TABLE notes",
        "SHOW server_version",
        "EXPLAIN SELECT 1",
        "/* x */ (SELECT 1)",
        "SELECT 1;",
    ] {
        run(&server, "reader", query, reading()).unwrap_or_else(|reason| panic!("{query}: {reason:?}"));
    }
}

#[test]
fn a_writer_writes_and_only_what_fits_is_kept() {
    let Some(server) = Server::shared() else { return };
    let insert = task(
        &server,
        "writer",
        "INSERT INTO notes VALUES ($1, $2) RETURNING id, note",
        &[json!(50), json!("'; DROP TABLE notes; --")],
    );
    assert_eq!(prepare(&insert).unwrap().1.reads, Some(false));
    let data = carry_out(&insert, bounds()).unwrap();
    assert_eq!(data["rows"], json!([[50, "'; DROP TABLE notes; --"]]));
    assert_eq!(data["rows_affected"], 1);
    let large = "UPDATE notes SET note = repeat('x', 100000) WHERE id = 50 RETURNING note";
    assert_eq!(
        run(&server, "writer", large, Bounds { max_bytes: Some(1000), ..bounds() }),
        Err(RefusalReason::TooLarge)
    );
    assert_eq!(server.value("SELECT length(note) FROM notes WHERE id = 50"), "23");
    assert_eq!(run(&server, "writer", "DELETE FROM notes WHERE id = 50", bounds()).unwrap()["rows_affected"], 1);
    let long = "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)";
    assert_eq!(run(&server, "reader", long, reading()), Err(RefusalReason::TooLarge));
}

#[test]
fn values_of_every_type_have_a_form() {
    let Some(server) = Server::shared() else { return };
    let query = "SELECT true AS a, 7::int8, 1.5::float8, 'NaN'::float8, 1.10::numeric, NULL, '{\"a\":1}'::jsonb, ARRAY[1,2], '1 day'::interval, 'x'::char, '\\x00ff'::bytea, $1::int, $2::text";
    let data = carry_out(&task(&server, "reader", query, &[json!(5), json!(null)]), reading()).unwrap();
    let expected = json!([true, 7, 1.5, "NaN", "1.10", null, "{\"a\": 1}", "{1,2}", "1 day", "x", "\\x00ff", 5, null]);
    assert_eq!((&data["rows"][0], &data["columns"][0]), (&expected, &json!("a")));
    for wrong in [&[][..], &[json!(1)], &[json!(1), json!([])]] {
        assert_eq!(carry_out(&task(&server, "reader", query, wrong), reading()), Err(RefusalReason::BadParameter));
    }
}

#[test]
fn what_takes_too_long_ends_on_the_server_too() {
    let Some(server) = Server::shared() else { return };
    let short = Bounds { timeout_ms: 300, ..reading() };
    for query in ["SELECT pg_sleep(600)", "SELECT set_config('statement_timeout', '0', true), pg_sleep(600)"] {
        let begun = Instant::now();
        assert_eq!(run(&server, "reader", query, short.clone()), Err(RefusalReason::Timeout), "{query}");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    let begun = Instant::now();
    while server
        .value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()")
        != "0"
    {
        assert!(begun.elapsed() < Duration::from_secs(30), "a statement goes on without anybody who waits for it");
        std::thread::sleep(Duration::from_millis(50));
    }
    // A lock that somebody holds is waited for no longer.
    let (mut holder, _) =
        prepare(&task(&server, "writer", "UPDATE notes SET note = note RETURNING pg_sleep(3)", &[])).unwrap();
    holder.order(&protocol::executor::Order::Perform { bounds: bounds() });
    std::thread::sleep(Duration::from_millis(700));
    let blocked = run(&server, "writer", "UPDATE notes SET note = note", Bounds { timeout_ms: 300, ..bounds() });
    assert_eq!(blocked, Err(RefusalReason::Timeout));
    run(&server, "reader", "SELECT pg_sleep(0.01)", reading()).unwrap();
}

#[test]
fn a_server_is_reached_by_its_socket_only() {
    let elsewhere = |connection: &str| {
        let (query, connection) = ("SELECT 1".to_owned(), connection.to_owned());
        carry_out(&Task::Postgres { connection, password: None, query, parameters: Vec::new() }, reading())
    };
    assert_eq!(elsewhere("host=127.0.0.1 user=postgres"), Err(RefusalReason::NotAvailable));
    assert_eq!(elsewhere("host=localhost user=postgres"), Err(RefusalReason::NotAvailable));
    assert_eq!(elsewhere("host=/nowhere user=postgres"), Err(RefusalReason::NotFound));
    let Some(server) = Server::shared() else { return };
    let here = format!("host={}", server.path().display());
    assert_eq!(elsewhere(&format!("{here} user=postgres dbname=none")), Err(RefusalReason::NotFound));
    elsewhere(&format!("{here} user=postgres")).unwrap();
}
