//! Misbehaviour on request, for the tests of kill, stop, limits and isolation.

mod report;
mod targets;

use std::{io, path::Path};

/// One subcommand.
struct Behaviour {
    name: &'static str,
    usage: &'static str,
    /// The exit code, or an error for stderr and exit code 1.
    run: fn(&[&str]) -> io::Result<u8>,
}

const BEHAVIOURS: &[Behaviour] = &[
    Behaviour { name: "help", usage: "print this list", run: |_| help() },
    Behaviour {
        name: "targets",
        usage: "DIR: hold something of each kind to attack, print it as key=value words, serve until stdin ends (root)",
        run: |words| targets::hold(Path::new(text(words, 0, "DIR")?)),
    },
    Behaviour { name: "env", usage: "print the environment, one NAME=VALUE a line", run: |_| report::environment() },
    Behaviour {
        name: "status",
        usage: "print /proc/self/status, mountinfo and cgroup as one JSON object",
        run: |_| report::status(),
    },
    Behaviour { name: "cat-fds", usage: "print each open descriptor and its target", run: |_| report::descriptors() },
    Behaviour { name: "exit", usage: "N: end with exit code N", run: |words| number(words, 0, "N") },
    Behaviour {
        name: "setuid-helper",
        usage: "print euid=N and the effective capabilities (the body of a set-uid or file-capability test)",
        run: |_| report::credentials(),
    },
];

/// Runs the behaviour `name`.
pub(crate) fn start(name: &str, words: &[&str]) -> io::Result<u8> {
    match BEHAVIOURS.iter().find(|behaviour| behaviour.name == name) {
        Some(behaviour) => (behaviour.run)(words),
        None => Err(io::Error::other(format!("no such subcommand: {name}; `probe help` lists them"))),
    }
}

fn help() -> io::Result<u8> {
    println!("probe list [--json]");
    println!("probe run ID|FAMILY|all [--json] [key=value ...]");
    for behaviour in BEHAVIOURS {
        println!("probe {:16} {}", behaviour.name, behaviour.usage);
    }
    Ok(0)
}

/// The word at `index` as a number.
fn number<T: std::str::FromStr>(words: &[&str], index: usize, what: &str) -> io::Result<T> {
    let word = words.get(index).ok_or_else(|| io::Error::other(format!("{what} is missing")))?;
    word.parse().map_err(|_| io::Error::other(format!("{what}: {word} is not a number in range")))
}

/// The word at `index`.
fn text<'a>(words: &[&'a str], index: usize, what: &str) -> io::Result<&'a str> {
    words.get(index).copied().ok_or_else(|| io::Error::other(format!("{what} is missing")))
}
