//! `agentctl`: the command line of Agent OS.
//!
//! ```text
//!   cli ──► one file a command group ──► client ──► agentosd's socket
//!              │                            ▲
//!              ├──► foreground (run, exec, attach: pumps streams, forwards signals)
//!              └──► show (tables, times, escaped text, JSON)
//! ```
//! Every command returns its exit code or a [`failure::Failure`], so that `main` is the one place that prints an error
//! and every guard (the terminal's above all) has been dropped by then.
#![forbid(unsafe_code)]

mod account;
mod agents;
mod approvals;
mod audit;
mod cli;
mod client;
mod completing;
mod denials;
mod doctor;
mod events;
mod execute;
mod failure;
mod foreground;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod generate;
mod launch;
mod logs;
mod manual;
mod memory;
mod moment;
mod own;
mod policy;
mod progress;
mod services;
mod show;
mod signals;
mod tar;
mod terminal;
mod values;
mod version;
mod whole_file;

use clap::Parser as _;
use cli::{Cli, Command};
use failure::Failure;
use std::process::ExitCode;

/// The program.
pub fn main() -> ExitCode {
    completing::answer_a_shell();
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(cli: Cli) -> Result<u8, Failure> {
    let socket = cli.socket.as_path();
    match cli.command {
        Command::Run(run) => launch::run(socket, run),
        Command::Exec(exec) => launch::exec(socket, exec),
        Command::Attach(attach) => launch::attach(socket, attach),
        Command::Ps(ps) => agents::ps(socket, ps),
        Command::Inspect(inspect) => agents::inspect(socket, inspect),
        Command::Wait(wait) => agents::wait(socket, &wait),
        Command::Kill(kill) => agents::kill(socket, &kill),
        Command::Stop(names) => agents::stop(socket, &names),
        Command::Cont(names) => agents::cont(socket, &names),
        Command::Rm(rm) => agents::rm(socket, &rm),
        Command::Logs(logs) => logs::logs(socket, logs),
        Command::Events(events) => events::events(socket, events),
        Command::Denials(denials) => denials::denials(socket, denials),
        Command::Approvals(approvals) => approvals::approvals(socket, approvals),
        Command::Execute(execute) => execute::execute(socket, execute),
        Command::Audit(audit) => audit::audit(socket, audit),
        Command::Memory(memory) => memory::memory(socket, memory),
        Command::Services(services) => services::services(socket, services),
        Command::Doctor(doctor) => doctor::doctor(socket, doctor),

        Command::Policy(policy) => policy::policy(socket, policy),
        Command::Version(version) => version::version(socket, version),
        Command::Completion { shell } => generate::completion(shell),
        Command::Man { directory } => generate::man(&directory),
    }
}
