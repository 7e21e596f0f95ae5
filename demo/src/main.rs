//! The story of `make demo`: a real coding agent does honest work, turns hostile, is stopped, continued and killed.
//!
//! Every chapter acts through `agentctl`, as an operator does, and is judged from the host: by files, processes and
//! sockets outside the sandbox, not by what the agent says. The program ends with 0 only if every expectation held, and
//! leaves nothing behind, also when it fails or is interrupted.

mod agent;
mod chapters;
mod daemon;
mod governed;
mod host;
mod interrupt;
mod journal;
mod processes;
mod refusal;
mod story;
mod survival;
mod workspace;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

use crate::{agent::Cli, daemon::Daemon, story::Story};

/// Tells the story; `demo/run` installs what it needs and calls it.
#[derive(Parser)]
struct Arguments {
    /// Where agentosd, agentctl and scripted-model are.
    #[arg(long)]
    bin: PathBuf,
    /// The project's directory, for the scripts of the model.
    #[arg(long)]
    repository: PathBuf,
    /// Where `tests/agents/install` put the CLI.
    #[arg(long)]
    agents: PathBuf,
    /// Which CLI plays: codex, opencode or claude.
    #[arg(long)]
    cli: String,
}

fn main() -> ExitCode {
    let mut story = Story::new();
    if let Err(error) = tell(&Arguments::parse(), &mut story) {
        story.broke_off(&error);
    }
    story.ending()
}

fn tell(arguments: &Arguments, story: &mut Story) -> Result<()> {
    interrupt::listen()?;
    // Declared first, so removed last, after the daemon that uses it has ended.
    let place = tempfile::Builder::new().prefix("agentos-demo-").tempdir().context("failed to make a directory")?;
    let cli = Cli::prepare(arguments, place.path())?;
    let daemon = Daemon::start(&arguments.bin, place.path())?;

    story.title(&cli, daemon.ready_line());
    chapters::honest(story, &daemon, &cli)?;
    chapters::hostile(story, &daemon, &cli)?;
    chapters::signals(story, &daemon, &cli)?;
    chapters::memory(story, &daemon)?;
    governed::actions(story, &daemon, place.path())?;
    survival::outlives(story, &daemon)?;
    chapters::records(story, &daemon)?;
    governed::proof(story, &daemon, place.path())?;
    chapters::end(story, daemon, place.path())?;
    place.close().context("failed to remove the demo's directory")
}
