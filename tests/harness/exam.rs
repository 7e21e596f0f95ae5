//! The hostile program: what it can try, real targets for it, and its answers.

use crate::{binary, stderr, succeeded};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// Something that an attacker tries.
#[derive(Clone, Debug)]
pub struct Primitive {
    /// `family.name`.
    pub id: String,
    /// The first half of the id.
    pub family: String,
    /// For a person.
    pub tries: String,
    /// `root`, or the condition under which it is reached outside.
    pub control: String,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The primitive's.
    pub id: String,
    /// `reached`, `denied`, `killed`, `absent` or `error`.
    pub verdict: String,
    /// The errno's name, where one decided.
    pub errno: Option<String>,
    /// What was reached or stood in the way.
    pub detail: String,
}

impl Outcome {
    /// True when the effect happened.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.verdict == "reached"
    }

    /// Verdict and errno, for a table.
    #[must_use]
    pub fn short(&self) -> String {
        self.errno.as_ref().map_or_else(|| self.verdict.clone(), |errno| format!("{} {errno}", self.verdict))
    }
}

/// Everything that the probe can try, in its order.
#[must_use]
pub fn primitives() -> Vec<Primitive> {
    let output = Command::new(binary("probe")).args(["list", "--json"]).output().expect("the probe can be started");
    let lines = values(&succeeded(output).stdout);
    let primitive = |value: &Value| Primitive {
        id: word(value, "id"),
        family: word(value, "family"),
        tries: word(value, "tries"),
        control: word(value, "control"),
    };
    lines.iter().map(primitive).collect()
}

/// The lines of a `probe run --json`.
///
/// # Panics
/// When there are none, with what was said instead.
#[must_use]
pub fn outcomes(output: &Output) -> Vec<Outcome> {
    let found = parse(&output.stdout);
    assert!(!found.is_empty(), "the probe reported nothing ({}): {}", output.status, stderr(output));
    found
}

/// The lines of a report of the probe.
#[must_use]
pub fn parse(report: &[u8]) -> Vec<Outcome> {
    let outcome = |value: &Value| Outcome {
        id: word(value, "id"),
        verdict: word(value, "outcome"),
        errno: value["errno"].as_str().map(str::to_owned),
        detail: word(value, "detail"),
    };
    values(report).iter().map(outcome).collect()
}

fn values(lines: &[u8]) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"));
    String::from_utf8_lossy(lines).lines().map(parse).collect()
}

fn word(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// A process of the host that holds one of everything to attack; it tidies up when this is dropped.
#[derive(Debug)]
pub struct Targets {
    child: Child,
    words: Vec<String>,
}

impl Targets {
    /// Puts its files into `directory` and waits until everything is there.
    #[must_use]
    pub fn hold(directory: &Path) -> Self {
        let mut command = Command::new(binary("probe"));
        command.arg("targets").arg(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the probe can be started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the targets are named on a line");
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert!(words.len() > 5, "the targets cannot be held in {}: {line}", directory.display());
        Self { child, words }
    }

    /// The `key=value` words for `probe run`.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// One value.
    #[must_use]
    pub fn value(&self, key: &str) -> &str {
        let found = self.words.iter().find_map(|word| word.split_once('=').filter(|(name, _)| *name == key));
        found.unwrap_or_else(|| panic!("no {key}= among the targets")).1
    }

    /// True while the victim lives.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        match self.child.wait() {
            Ok(status) if status.success() => {}
            other if std::thread::panicking() => eprintln!("the targets ended with {other:?}"),
            other => panic!("the targets ended with {other:?}"),
        }
    }
}
