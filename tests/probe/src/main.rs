//! A hostile program: tries every way out of a sandbox that we know, and misbehaves on request.
//!
//! It runs inside a sandbox as the agent, and outside as root for the positive controls. Nothing in it trusts the
//! kernel to say no: each attempt is harmless where it succeeds (it writes back what was there, or passes arguments
//! that the kernel rejects only after its permission check), and the ones that could hurt a host refuse to run on one.
//!
//! ```text
//!   main ──► primitive (the list) ──► runner (a child each) ──► one file per kind of attack ──► outcome (a JSON line)
//!     └────► behaviours (bombs, floods, stubborn processes, targets for the attacks)
//! ```

#![allow(unsafe_code, reason = "an attacker's tool: raw system calls are its subject, and nothing links to it")]

mod allowed;
mod behaviours;
mod credentials;
mod denials;
mod host_files;
mod inheritance;
mod ipc;
mod kernel;
mod kernel_memory;
mod launcher;
mod memory_surface;
mod modes;
mod mount_api;
mod mounts;
mod namespaces;
mod netlink;
mod network;
mod outcome;
mod params;
mod primitive;
mod priorities;
mod processes;
mod runner;
mod signals;
mod surface;
mod syscall;
mod terminal;
mod workspace;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::json;

use crate::{params::Params, primitive::FAMILIES};

fn main() -> ExitCode {
    let mut params = Params::at_start();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut words = words.iter().map(String::as_str);
    let answer = match words.next() {
        Some("list") => list(words.next() == Some("--json")),
        Some("run") => run(&mut params, words),
        Some(name) => behaviours::start(name, &words.collect::<Vec<_>>()),
        None => behaviours::start("help", &[]),
    };
    match answer {
        Ok(code) => ExitCode::from(code),
        // A reader that went away (`probe list | head`) is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what can be tried.
fn list(as_json: bool) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    for family in FAMILIES {
        for primitive in family.primitives() {
            let denials: Vec<String> = primitive.denials.iter().map(|number| outcome::errno_name(*number)).collect();
            if as_json {
                let line = json!({"id": primitive.id, "family": family.name, "tries": primitive.tries,
                    "denials": denials, "control": primitive.control});
                writeln!(out, "{line}")?;
            } else {
                writeln!(out, "{:34} {} [{}]", primitive.id, primitive.tries, denials.join(" "))?;
            }
        }
    }
    Ok(0)
}

/// Tries what the first word names and prints a line for each.
fn run<'a>(params: &mut Params, words: impl Iterator<Item = &'a str>) -> io::Result<u8> {
    let mut as_json = false;
    let mut chosen = Vec::new();
    for word in words {
        if word == "--json" {
            as_json = true;
        } else if let Some((key, value)) = word.split_once('=') {
            params.accept(key, value)?;
        } else {
            let found = primitive::select(word);
            if found.is_empty() {
                return Err(io::Error::other(format!("{word} is no primitive and no family; `probe list` shows them")));
            }
            chosen.extend(found);
        }
    }
    if chosen.is_empty() {
        return Err(io::Error::other("nothing to run; usage: probe run ID|FAMILY|all [--json] [key=value ...]"));
    }
    for (family, primitive) in chosen {
        let outcome = runner::run(primitive, params);
        // Taken anew for each line, so that a child never inherits a locked or half-full stdout.
        let mut out = io::stdout().lock();
        if as_json {
            let line = json!({"id": primitive.id, "family": family, "outcome": outcome.outcome,
                "errno": outcome.errno, "detail": outcome.detail});
            writeln!(out, "{line}")?;
        } else {
            let verdict = format!("{:?}", outcome.outcome).to_lowercase();
            let errno = outcome.errno.unwrap_or_default();
            writeln!(out, "{:34} {verdict:8} {errno:13} {}", primitive.id, outcome.detail)?;
        }
        out.flush()?;
    }
    Ok(0)
}
