//! A thousand agents.

use crate::daemon::Daemon;
use crate::idle::Use;
use crate::table::Row;
use crate::timing::{Samples, show};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

const AGENTS: usize = 1000;
/// Connections over which they are started, each one after the other.
const STARTERS: usize = 4;

/// All rows, with a daemon of its own.
pub(crate) fn measure(binaries: &Path, rounds: usize) -> Result<Vec<Row>> {
    let mut daemon = Daemon::start(binaries)?;
    let began = Instant::now();
    start_all(&daemon)?;
    let starting = began.elapsed().as_secs_f64();
    // Spares are made again, and what was busy with starting comes to rest.
    std::thread::sleep(Duration::from_secs(3));
    let ps = Samples::new(ps(&daemon, rounds)?);
    let before = Use::now(&daemon)?;
    let watched = Instant::now();
    std::thread::sleep(Duration::from_secs(10));
    let after = Use::now(&daemon)?;
    let busy = after.cpu.saturating_sub(before.cpu).as_secs_f64() / watched.elapsed().as_secs_f64();
    let (per_agent, parts) = after.per_agent(AGENTS);
    let returned = daemon.replace()?;
    let taken = running(&daemon)?;
    ensure!(taken == AGENTS, "{taken} of {AGENTS} agents were taken back:\n{}", daemon.log());
    let ended = daemon.end()?;
    let each = starting / f64::from(u32::try_from(AGENTS)?);
    let rate = format!("{starting:.1} s, {:.0} a second", 1.0 / each);
    Ok(vec![
        Row::amount("1,000 agents started over 4 connections, each", rate, each * 1e3, (10.0, "ms")),
        Row::amount("agentctl ps of 1,000 agents", ps.show(), ps.median() * 1e3, (100.0, "ms")),
        Row::amount(
            "memory of ours an agent, agentos-vfs too (PSS)",
            format!("{per_agent:.2} MiB"),
            per_agent,
            (1.0, "MiB"),
        ),
        Row::figure("  of it", parts),
        Row::amount(
            "processor time of ours, 1,000 idle agents",
            format!("{:.2} %", busy * 100.0),
            busy * 100.0,
            (1.0, "% of a core"),
        ),
        Row::amount("1,000 agents taken back after kill -9", show(returned), returned, (1.0, "s")),
        Row::figure("  1,000 agents ended by SIGTERM", show(ended)),
    ])
}

fn start_all(daemon: &Daemon) -> Result<()> {
    std::thread::scope(|scope| {
        let starters = (0..STARTERS).map(|starter| {
            scope.spawn(move || -> Result<()> {
                let mut control = daemon.connect()?;
                for number in (starter..AGENTS).step_by(STARTERS) {
                    let run = json!({"command": ["/bin/sleep", "1000"], "name": format!("load-{number}")});
                    control.send("Run", run, false)?;
                    control.receive()?;
                }
                Ok(())
            })
        });
        for starter in starters.collect::<Vec<_>>() {
            starter.join().map_err(|_| anyhow::anyhow!("a starter panicked"))??;
        }
        Ok(())
    })
}

fn ps(daemon: &Daemon, rounds: usize) -> Result<Vec<f64>> {
    let one = || {
        let begin = Instant::now();
        let listed = daemon.ask(&["ps"])?;
        let took = begin.elapsed().as_secs_f64();
        ensure!(listed.lines().count() == AGENTS + 1, "ps lists something else:\n{listed}");
        Ok(took)
    };
    (0..rounds).map(|_| one()).collect()
}

fn running(daemon: &Daemon) -> Result<usize> {
    Ok(daemon.ask(&["ps"]).context("agentctl ps")?.lines().filter(|line| line.contains("running")).count())
}
