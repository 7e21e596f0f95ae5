//! The control socket speaks Varlink, not something like it: a client that others wrote can introspect and call it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{Daemon, Launch, is_root, repository_root, stdout, succeeded};

/// The version that the test was written against.
const PACKAGE: &str = "varlink==31.0.0";

/// A Python with the package, kept under `target/` between runs.
fn python() -> PathBuf {
    let place = repository_root().join("target/varlink-client");
    let python = place.join("bin/python");
    if !python.exists() {
        succeeded(Command::new("python3").args(["-m", "venv"]).arg(&place).output().expect("python3 runs"));
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
    succeeded(Command::new(&python).args(pip).output().expect("pip runs"));
    python
}

fn ask(python: &Path, socket: &Path) -> Value {
    let script = repository_root().join("tests/varlink/client.py");
    let address = format!("unix:{}", socket.display());
    let output = succeeded(Command::new(python).arg(script).arg(address).output().expect("the client runs"));
    serde_json::from_str(&stdout(&output)).expect("the client prints JSON")
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

#[test]
fn a_client_of_others_introspects_and_calls() {
    if !is_root() {
        return;
    }
    let python = python();
    let daemon = Daemon::start();
    let _witness = daemon.spawn(&Launch::new("base").name("witness"), &["/bin/sleep", "60"]);
    let answer = ask(&python, &daemon.socket());

    assert_eq!(names(&answer["interfaces"]), ["org.varlink.service", "io.agentos.Control"], "{answer:#}");
    for method in ["Run", "Exec", "Kill", "List", "Inspect", "Events", "Denials", "Doctor"] {
        assert!(names(&answer["methods"]).contains(&method), "{method} is not described");
    }
    assert!(answer["doctor"].as_array().is_some_and(|checks| checks.len() > 5), "{answer:#}");
    assert_eq!(names(&answer["list"]), ["witness"]);
    assert_eq!(names(&answer["pages"]), ["witness"]);
    assert_eq!(answer["policy"], "base");
    assert_eq!(answer["unknown"]["error"], "io.agentos.Control.NoSuchAgent");
    assert_eq!(names(&answer["unknown"]["parameters"]["known"]), ["witness"]);
    assert_eq!(answer["bad_name"]["parameters"]["parameter"], "name", "{answer:#}");
    assert_eq!(
        (&answer["started"], &answer["killed"], &answer["exit"]),
        (&"by-python".into(), &true.into(), &"killed".into())
    );
}
