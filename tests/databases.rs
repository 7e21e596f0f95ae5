//! Databases by their names: an agent asks in SQL, and what only reads is all that happens where the policy says so.

#[path = "../executors/tests/attacks/server.rs"]
mod server;

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tests::{Agent, Daemon, Launch, ask, done, refused, succeeded};

fn query(database: &str, text: &str) -> Value {
    json!({"action": "database_query", "params": {"query": text, "database": database}})
}

fn python(script: &str, file: &Path) {
    let _ran = succeeded(Command::new("/usr/bin/python3").args(["-c", script]).arg(file).output().expect("python3"));
}

fn start<'d>(daemon: &'d Daemon, rules: &str) -> Agent<'d> {
    let policy = daemon.policy(&format!("extends: [python]\npolicies:\n{rules}"));
    daemon.spawn(&Launch::new(policy).name("analyst-001"), &["/bin/sleep", "600"])
}

const CUSTOMERS: &str = "import sqlite3, sys
d = sqlite3.connect(sys.argv[1])
d.execute('CREATE TABLE users (id INTEGER, note TEXT, email TEXT, card TEXT)')
d.execute('INSERT INTO users VALUES (1, ?, ?, ?)', ('please update me', 'ada@example.com', '4111 1111 1111 1111'))
d.commit()";

#[test]
fn the_requests_of_the_python_system_are_answered_from_a_database_that_stays_as_it_is() {
    if !tests::is_root() {
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("users.db");
    python(CUSTOMERS, &file);
    let daemon = Daemon::configured(&format!("databases: [{{name: default, sqlite: {}}}]\n", file.display()));
    let agent = start(&daemon, "  - {action: database_query}\n");
    let seed = json!({"action": "database_query",
        "params": {"query": "SELECT * FROM users"},
        "context": {"agent_id": "analyst-001", "policies": ["read_only", "no_pii"]}});
    let data = done(&agent, &seed).to_string();
    assert!(data.contains("please update me"), "{data}");
    assert!(!data.contains("ada@example.com") && !data.contains("4111"), "personal data is taken out: {data}");
    let plain = done(&agent, &query("default", "SELECT email FROM users WHERE note='please update me'")).to_string();
    assert!(plain.contains("ada@example.com"), "the control: {plain}");
    // The same by an operator, as the file of that system has it.
    let request = place.path().join("request.json");
    std::fs::write(&request, seed.to_string()).expect("a file");
    let output = succeeded(daemon.agentctl(&["execute", "--request", request.to_str().unwrap(), "--json"]));
    assert!(tests::stdout(&output).contains("please update me"));

    let narrowed = |text: &str| {
        let mut request = query("default", text);
        request["context"] = json!({"policies": ["read_only"]});
        request
    };
    for text in [
        "DROP TABLE users",
        "WITH gone AS (SELECT 1) DELETE FROM users",
        "INSERT INTO users VALUES (2, '', '', '') RETURNING id",
        "PRAGMA journal_mode = DELETE",
        "ATTACH '/tmp/x.db' AS x",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT 1; DROP TABLE users",
        "VACUUM INTO '/tmp/copy.db'",
    ] {
        let reason = refused(&agent, &narrowed(text));
        assert!(reason == "read_only" || reason == "statement_refused", "{text}: {reason}");
    }
    assert_eq!(done(&agent, &query("default", "SELECT count(*) FROM users"))["rows"][0][0], 1);
    let _written = done(&agent, &query("default", "UPDATE users SET note = 'done'"));
    assert_eq!(done(&agent, &query("default", "SELECT note FROM users"))["rows"][0][0], "done", "the control");
    assert_eq!(refused(&agent, &query("other", "SELECT 1")), "not_found");
}

#[test]
fn a_server_is_asked_by_its_own_role_in_a_transaction_that_only_reads() {
    if !tests::is_root() {
        return;
    }
    let Some(server) = server::Server::shared() else {
        return tests::skip("postgresql", "the package postgresql is not installed");
    };
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), "of the reader\n").expect("a file");
    let host = server.path().display();
    let daemon = Daemon::configured(&format!(
        "databases:\n  - {{name: crm, postgres: \"host={host} dbname=postgres user=reader\", password_file: {}}}\n  - {{name: own, postgres: \"host={host} dbname=postgres user=writer\"}}\n",
        secret.path().display()
    ));
    let agent = start(
        &daemon,
        "  - {action: database_query, mode: read_only, databases: [crm]}\n  - {action: database_query, databases: [own]}\n",
    );
    let rows = done(&agent, &query("crm", "SELECT note FROM notes WHERE note = 'please update me'"));
    assert!(rows.to_string().contains("please update me"), "{rows}");
    for text in [
        "DROP TABLE notes",
        "DELETE FROM notes",
        "SELECT 1; DELETE FROM notes",
        "SET TRANSACTION READ WRITE",
        "SELECT sneak()",
    ] {
        let reply = ask(&agent, &query("crm", text));
        assert_eq!(
            (reply["success"].as_bool(), &*server.value("SELECT count(*) FROM notes")),
            (Some(false), "2"),
            "{text}: {reply}"
        );
    }
    let _written = done(&agent, &query("own", "UPDATE notes SET note = 'changed' WHERE id = 1"));
    assert_eq!(server.value("SELECT note FROM notes WHERE id = 1"), "changed", "the control");
    let put_back = server.sql("UPDATE notes SET note = 'please update me' WHERE id = 1");
    assert!(put_back.status.success());
}
