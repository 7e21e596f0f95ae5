//! What agents that do nothing cost: memory and processor time of every process of ours.

use crate::daemon::Daemon;
use crate::table::{Bar, Row};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Enough that what the daemon needs anyway is a small share.
const AGENTS: usize = 100;

/// Starts agents that sleep, and looks at our processes before and after.
pub(crate) fn measure(daemon: &Daemon) -> Result<Vec<Row>> {
    let before = Use::now(daemon)?;
    let names: Vec<_> = (0..AGENTS).map(|number| format!("idle-{number}")).collect();
    for name in &names {
        daemon.ask(&["run", "--detach", "--rm", "--name", name, "--", "sleep", "1000"])?;
    }
    // Spares are made again, and what was busy with starting comes to rest.
    std::thread::sleep(Duration::from_secs(1));
    let after = Use::now(daemon)?;
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(5));
    let later = Use::now(daemon)?;
    let busy = later.cpu.saturating_sub(after.cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    for name in &names {
        daemon.ask(&["kill", "-9", name])?;
    }
    let mib = |kib: u64| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0;
    let each = f64::from(u32::try_from(AGENTS)?);
    let per_agent = mib(after.daemon + after.stages) / each;
    Ok(vec![
        Row {
            what: format!("memory of ours an idle agent, {AGENTS} agents (PSS)"),
            ours: format!("{per_agent:.2} MiB"),
            reference: String::new(),
            value: Some(per_agent),
            bar: Some(Bar { most: 1.0, unit: "MiB" }),
        },
        Row::figure(
            "  agentosd without agents, with its spare stages",
            format!("{:.1} MiB", mib(before.daemon + before.stages)),
        ),
        Row::figure("  agentosd with them", format!("{:.1} MiB", mib(after.daemon))),
        Row::figure(format!("  stages, {} processes", after.processes), format!("{:.1} MiB", mib(after.stages))),
        Row::figure(
            format!("  processor time of all of them, {AGENTS} idle agents"),
            format!("{:.2} % of a core", busy * 100.0),
        ),
    ])
}

/// What our processes use.
pub(crate) struct Use {
    /// PSS of the daemon, in KiB.
    daemon: u64,
    /// PSS of every stage, outer half and PID 1, in KiB.
    stages: u64,
    /// How many stages' processes.
    processes: usize,
    /// Processor time of all.
    pub(crate) cpu: Duration,
}

impl Use {
    pub(crate) fn now(daemon: &Daemon) -> Result<Self> {
        let own = PathBuf::from(format!("/proc/{}", daemon.pid()));
        let mut total = Self { daemon: pss(&own)?, stages: 0, processes: 0, cpu: cpu(&own)? };
        for stage in stages(daemon.pid())? {
            total.stages += pss(&stage)?;
            total.cpu += cpu(&stage)?;
            total.processes += 1;
        }
        Ok(total)
    }
}

impl Use {
    /// MiB for each of so many agents, and what they are.
    pub(crate) fn per_agent(&self, agents: usize) -> (f64, String) {
        let mib = |kib: u64| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0;
        let each = mib(self.daemon + self.stages) / f64::from(u32::try_from(agents).unwrap_or(u32::MAX));
        let (daemon, others) = (mib(self.daemon), mib(self.stages));
        (each, format!("agentosd {daemon:.0} MiB, {} other processes {others:.0} MiB", self.processes))
    }
}

/// Descendants of the daemon that are stages: by the name in `stat`, because PID 1 inside is not dumpable and agents'
/// own processes are not to be counted.
fn stages(daemon: u32) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut parents = vec![daemon];
    while let Some(parent) = parents.pop() {
        let path = PathBuf::from(format!("/proc/{parent}/task/{parent}/children"));
        let mut lists = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        if parent == daemon {
            lists = children_of_all_threads(daemon)?;
        }
        for child in lists.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()) {
            let place = PathBuf::from(format!("/proc/{child}"));
            let name = fs::read_to_string(place.join("comm")).unwrap_or_default();
            if name.starts_with("agentos-") {
                found.push(place);
                parents.push(child);
            }
        }
    }
    Ok(found)
}

fn children_of_all_threads(process: u32) -> Result<String> {
    let mut all = String::new();
    for thread in fs::read_dir(format!("/proc/{process}/task")).context("failed to list threads")? {
        let path = thread.context("failed to list threads")?.path().join("children");
        all += &fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        all.push(' ');
    }
    Ok(all)
}

/// Proportional set size in KiB: shared pages count as the share of each process.
pub(crate) fn pss(process: &std::path::Path) -> Result<u64> {
    let path = process.join("smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
    line.trim().trim_end_matches(" kB").parse().context("Pss is no number")
}

/// User and system time so far (`proc_pid_stat(5)`, fields 14 and 15, in hundredths of a second).
fn cpu(process: &std::path::Path) -> Result<Duration> {
    let stat = fs::read_to_string(process.join("stat")).context("failed to read stat")?;
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}
