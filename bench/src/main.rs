//! Speed against the bars of the design: every figure beside its reference, taken in turns in one run.
//!
//! ```text
//!   main ──► daemon (agentosd on a directory of its own) ──► launch, syscalls, kill, violation, actions, idle ──► rows ──► table
//!     ├──► daemons of their own ──► load, floods ──────────────┤
//!     ├──► mounted (agentos-vfs without a daemon) ──► files ──┤
//!     └──► sealer (an audit log without a daemon) ──► audit ──┘
//! ```
//! A bar that is not met is said so and makes the exit code 1. Nothing is retried until it fits.

mod actions;
mod audit;
mod daemon;
mod files;
mod floods;
mod idle;
mod kill;
mod launch;
mod load;
mod machine;
mod syscalls;
mod table;
mod timing;
mod violation;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use daemon::Daemon;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use table::Row;

/// Measures Agent OS against bare Linux and bubblewrap. Needs root, bwrap, and a quiet machine.
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 100)]
struct Flags {
    /// Replace the table in docs/benchmarks.md
    #[arg(long)]
    write: bool,
    /// Only these parts
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How often each pair is measured (launches; a tenth of it for the slower parts)
    #[arg(long, default_value_t = 200)]
    rounds: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Launch,
    Syscalls,
    Kill,
    Violation,
    Actions,
    Idle,
    Load,
    Floods,
    Files,
    Audit,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Measures and prints; whether every bar was met.
fn run(flags: &Flags) -> Result<bool> {
    ensure!(rustix::process::geteuid().is_root(), "it needs root, as agentosd does: sudo make bench");
    let binaries = binaries()?;
    let wanted = |part| flags.parts.is_empty() || flags.parts.contains(&part);
    let few = (flags.rounds / 10).max(3);
    let mut rows: Vec<Row> = Vec::new();
    let audit_off = if wanted(Part::Syscalls) { Some(syscalls::without_daemon(&binaries, few)?) } else { None };
    let daemon = Daemon::start(&binaries)?;
    if wanted(Part::Launch) {
        rows.extend(launch::measure(&daemon, flags.rounds)?);
    }
    if let Some(audit_off) = &audit_off {
        rows.extend(syscalls::measure(&daemon, few, audit_off)?);
    }
    if wanted(Part::Kill) {
        rows.extend(kill::measure(&daemon, few)?);
    }
    if wanted(Part::Violation) {
        rows.extend(violation::measure(&daemon)?);
    }
    if wanted(Part::Actions) {
        rows.extend(actions::measure(&daemon)?);
    }
    if wanted(Part::Idle) {
        rows.extend(idle::measure(&daemon)?);
    }
    drop(daemon);
    if wanted(Part::Load) {
        rows.extend(load::measure(&binaries, few)?);
    }
    if wanted(Part::Floods) {
        rows.extend(floods::measure(&binaries)?);
    }
    if wanted(Part::Files) {
        rows.extend(files::measure(&binaries, few)?);
    }
    if wanted(Part::Audit) {
        rows.extend(audit::measure(&binaries)?);
    }
    let machine = machine::describe()?;
    println!("{machine}\n\n{}", table::text(&rows));
    if flags.write {
        write(&machine, &rows)?;
    }
    Ok(!rows.iter().any(Row::missed))
}

/// Where the release build is, made up to date when cargo started us.
fn binaries() -> Result<PathBuf> {
    if let Some(cargo) = std::env::var_os("CARGO") {
        let packages = [
            "-p",
            "agentosd",
            "-p",
            "agentctl",
            "-p",
            "sandbox",
            "-p",
            "fuse-vfs",
            "-p",
            "executors",
            "-p",
            "probe",
            "-p",
            "sealer",
        ];
        let status = Command::new(cargo).args(["build", "--release", "--bins"]).args(packages).status();
        ensure!(status.context("failed to run cargo")?.success(), "the release build failed");
    }
    let own = std::env::current_exe().context("failed to find this program")?;
    let directory = own.parent().context("this program is in no directory")?.to_owned();
    for program in ["agentosd", "agentctl", "agentos-stage", "agentos-vfs", "agentos-executor", "probe", "sealer"] {
        let path = directory.join(program);
        ensure!(path.exists(), "{} is missing; build it: cargo build --release --bins", path.display());
    }
    Ok(directory)
}

const BEGIN: &str = "<!-- begin: written by `make bench` -->";
const END: &str = "<!-- end -->";

/// Replaces what stands between the two marks of the page.
fn write(machine: &str, rows: &[Row]) -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let old = std::fs::read_to_string(&page).with_context(|| format!("failed to read {}", page.display()))?;
    let (head, rest) = old.split_once(BEGIN).context("docs/benchmarks.md has lost its begin mark")?;
    let (_, tail) = rest.split_once(END).context("docs/benchmarks.md has lost its end mark")?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let command = format!("cargo run --release -p bench -- {}", arguments.join(" "));
    let new = format!("{head}{BEGIN}\n`{command}`, {machine}\n\n{}{END}{tail}", table::markdown(rows));
    std::fs::write(&page, new).with_context(|| format!("failed to write {}", page.display()))
}
