//! Plays a compromised model for an unmodified coding-agent CLI.
//!
//! It listens on the loopback, speaks OpenAI Chat Completions, OpenAI Responses and Anthropic Messages, and answers each
//! request with the next shell command of a script, as a call of whatever shell tool the CLI offers. What the CLI sends
//! back goes to a journal (JSON Lines), which is the inside half of the evidence; the tests judge from outside.
//!
//! ```text
//!   script.json ──► Player ──next command──► chat / responses / messages ──► CLI ──► its shell tool
//!   journal.jsonl ◄── Player ◄──tool result── chat / responses / messages ◄── CLI ◄──┘
//! ```
//!
//! Given a command after `--` it is the agent's main process: it serves while the command runs and ends with its status.

mod chat;
mod http;
mod journal;
mod messages;
mod player;
mod responses;
mod script;
mod server;
mod turn;

use std::{
    io::{self, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, ExitCode, ExitStatus},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result};
use clap::Parser;

use crate::{journal::Journal, player::Player, script::Script};

/// A scripted stand-in for a language model.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The script (JSON) with the commands that the model will ask for.
    #[arg(long)]
    script: PathBuf,
    /// Where calls and their results are appended, one JSON object a line.
    #[arg(long)]
    log: PathBuf,
    /// The TCP port on 127.0.0.1; 0 takes a free one and prints it.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The command to run with the server's lifetime.
    #[arg(last = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("scripted-model: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let script = Script::load(&arguments.script)?;
    let journal = Journal::open(&arguments.log)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port))
        .with_context(|| format!("failed to listen on 127.0.0.1:{}", arguments.port))?;
    if arguments.command.is_empty() || arguments.port == 0 {
        let address = listener.local_addr().context("failed to read the listener's address")?;
        println!("listening on {address}");
        io::stdout().flush().context("failed to print the listener's address")?;
    }

    let player = Arc::new(Player::new(script, journal));
    let Some((program, rest)) = arguments.command.split_first() else {
        server::serve(&listener, &player);
        return Ok(ExitCode::SUCCESS);
    };
    // The thread is not joined: the process ends when the command does, and every journal line is already written.
    thread::spawn(move || server::serve(&listener, &player));
    let status = Command::new(program).args(rest).status().with_context(|| format!("failed to run {program}"))?;
    Ok(ExitCode::from(exit_code(status)))
}

/// The status as a shell gives it: the exit code, or 128 and the signal that ended the command.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
