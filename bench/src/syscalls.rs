//! System calls in an agent against the same calls bare.
//!
//! While `agentosd` lists denials the kernel's audit is on, and every process of the host that is started then takes
//! the kernel's slower way into system calls. So a call is compared with a bare one of the same moment (what an agent
//! pays for being confined) and, apart from it, with one before the daemon came (what the host pays for the list).

use crate::daemon::{Daemon, text};
use crate::table::Row;
use crate::timing::{Samples, in_turns, ratio};
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::process::{Command, Output};

/// A call as `probe bench` names it, how often it is made in a sample (some tenth of a second), and its bar.
const CALLS: [(&str, &str, f64); 4] =
    [("getpid", "1000000", 1.05), ("read", "500000", 1.05), ("stat", "200000", 1.05), ("open", "100000", 1.35)];

/// A call's name and its times before the daemon was started.
pub(crate) type Bare = Vec<(&'static str, Samples)>;

/// The bare calls without any daemon of ours.
pub(crate) fn without_daemon(binaries: &Path, rounds: usize) -> Result<Bare> {
    let probe = binaries.join("probe");
    let take = |call: [&str; 2]| (0..rounds).map(|_| bare(&probe, call)).collect::<Result<Vec<_>>>();
    CALLS.into_iter().map(|(call, count, _)| Ok((call, Samples::new(take([call, count])?)))).collect()
}

/// Every call, inside and bare in turns.
pub(crate) fn measure(daemon: &Daemon, rounds: usize, before: &Bare) -> Result<Vec<Row>> {
    let probe = daemon.workspace().join("probe");
    let mut rows = Vec::new();
    let mut host = Vec::new();
    for ((call, count, bar), (_, off)) in CALLS.into_iter().zip(before) {
        let (a, b) = in_turns(rounds, || inside(daemon, [call, count]), || bare(&probe, [call, count]))?;
        rows.push(Row::ratio(
            format!("{call} in an agent / bare, audit on for both"),
            (a.show(), b.show()),
            ratio(&a, &b),
            bar,
        ));
        let floor = (0..rounds).map(|_| filtered(&probe, [call, count])).collect::<Result<Vec<_>>>()?;
        let floor = Samples::new(floor);
        rows.push(Row::compared(
            format!("  {call} under a filter that allows everything / bare"),
            (floor.show(), b.show()),
            ratio(&floor, &b),
        ));
        host.push(Row::compared(format!("  {call} bare, audit on / off"), (b.show(), off.show()), ratio(&b, off)));
    }
    rows.extend(host);
    Ok(rows)
}

fn bare(probe: &Path, call: [&str; 2]) -> Result<f64> {
    time(Command::new(probe).arg("bench").args(call).output().context("failed to run probe")?)
}

/// Outside of any sandbox, under the smallest filter: what every sandbox with a filter pays.
fn filtered(probe: &Path, call: [&str; 2]) -> Result<f64> {
    time(Command::new(probe).arg("bench-filtered").args(call).output().context("failed to run probe")?)
}

fn inside(daemon: &Daemon, call: [&str; 2]) -> Result<f64> {
    let (policy, workspace) = (daemon.policy(), daemon.workspace());
    let probe = workspace.join("probe");
    let words = ["run", "--rm", "--policy", text(&policy)?, "--workspace", text(&workspace)?, "--", text(&probe)?];
    let mut command = daemon.agentctl(&words);
    command.arg("bench").args(call).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    time(command.output().context("failed to run agentctl")?)
}

/// What `probe bench` found: nanoseconds a call.
fn time(output: Output) -> Result<f64> {
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "probe bench failed: {said} {}", String::from_utf8_lossy(&output.stderr));
    let word = said.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    Ok(word.with_context(|| format!("probe bench said {said:?}"))? * 1e-9)
}
