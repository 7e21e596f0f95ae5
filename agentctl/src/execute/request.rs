//! The request, from the words of a command line or from a file.

use crate::cli::execute::Execute;
use crate::failure::Failure;
use crate::whole_file::escaped;
use protocol::action::Context;
use protocol::control::Perform;
use protocol::text::escape;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// What fits a message has less.
const MAX: u64 = 1 << 20;

/// What is asked for.
pub(super) fn read(options: Execute) -> Result<Perform, Failure> {
    let policy = options.policy.map(|policy| policy.choose()).transpose()?;
    if let Some(path) = &options.request {
        let mut request: Perform = parse(&text(path)?, &format!("the request in {}", escaped(path)))?;
        request.policy = policy.or(request.policy);
        return Ok(request);
    }
    let mut params = match options.params.as_deref() {
        None => Map::new(),
        Some("-") => parse(&text(Path::new("-"))?, "--params")?,
        Some(given) => match given.strip_prefix('@') {
            Some(path) => parse(&text(Path::new(path))?, "--params")?,
            None => parse(given, "--params")?,
        },
    };
    for word in &options.words {
        let (name, value) = parameter(word)?;
        if params.insert(name.clone(), value).is_some() {
            return Err(Failure::Usage(format!("the parameter {} is given twice", escape(&name))));
        }
    }
    let context = Context {
        agent_id: options.agent.map(|name| name.to_string()),
        policies: options.narrow,
        approval: options.approval,
        others: Map::new(),
    };
    // Where no action is, the grammar asks for a request.
    Ok(Perform { action: options.action.unwrap_or_default(), params, context, policy })
}

/// `KEY=TEXT`, or `KEY:=JSON`.
fn parameter(word: &str) -> Result<(String, Value), Failure> {
    let wrong = || Failure::Usage(format!("{} is no parameter: write KEY=TEXT, or KEY:=JSON", escape(word)));
    let (name, value) = word.split_once('=').ok_or_else(wrong)?;
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => (name, parse(value, &format!("the parameter {}", escape(name)))?),
        None => (name, Value::String(value.to_owned())),
    };
    if name.is_empty() { Err(wrong()) } else { Ok((name.to_owned(), value)) }
}

fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Usage(format!("{what} cannot be understood: {error}")))
}

fn text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().take(MAX + 1).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|source| Failure::File { attempt: "read", path: escaped(path), source })?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX) { Err(Failure::TooLong) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;
    use serde_json::json;

    fn asked(words: &[&str]) -> Result<Perform, Failure> {
        let cli = Cli::try_parse_from(["agentctl", "execute"].iter().chain(words)).expect("parses");
        let Command::Execute(options) = cli.command else { panic!("not execute") };
        read(options)
    }

    #[test]
    fn a_request_in_a_file_is_taken_as_it_is() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = r#"{"action": "database_query",
 "params": {"query": "SELECT * FROM users"},
 "context": {"agent_id": "analyst-001", "policies": ["read_only", "no_pii"]}}"#;
        std::fs::write(file.path(), text).expect("our own file");
        let path = file.path().display().to_string();
        let request = asked(&["--request", &path]).expect("it is one");
        let words =
            ["--agent", "analyst-001", "--narrow", "read_only,no_pii", "database_query", "query=SELECT * FROM users"];
        assert_eq!(asked(&words).expect("it is one"), request);
        let given: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(serde_json::to_value(&request).expect("JSON"), given);
        std::fs::write(file.path(), r#"{"action": "x", "parms": {}}"#).expect("our own file");
        assert!(matches!(asked(&["--request", &path]), Err(Failure::Usage(_))), "what is misspelt is not left out");
    }

    #[test]
    fn parameters_are_texts_or_json_and_come_once() {
        let params =
            |words: &[&str]| asked(&[&["file_write"], words].concat()).map(|request| Value::Object(request.params));
        let given = params(&["path=/a=b", "content:=\"x\"", "append:=true", "--params", "{\"mode\": 420}"]);
        assert_eq!(given.expect("it is one"), json!({"path": "/a=b", "content": "x", "append": true, "mode": 420}));
        for wrong in [
            &["path"][..],
            &["=x"],
            &[":=1"],
            &["a:=x"],
            &["a=1", "a=2"],
            &["a=1", "--params", "{\"a\":1}"],
            &["--params", "[]"],
        ] {
            assert!(matches!(params(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }
}
