//! From a forbidden act inside until the agent is dead, with the mode `strict`.
//!
//! The moment of the act is the agent's own word (`probe trip`): it is said just before the call, on the clock that all
//! processes of the host share. Death is the kernel's word: nobody is in the control group any more.

use crate::daemon::{Daemon, text};
use crate::table::{Bar, Row};
use crate::timing::Samples;
use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// So many agents, one after the other.
const RUNS: usize = 30;
/// From the start of an agent until its act, so that everything is in place to look.
const PAUSE_MS: u64 = 300;
/// Between two looks.
const OFTEN: Duration = Duration::from_micros(50);

const POLICY: &str = r#"extends: [base]
kernel: {version: "1.0", mode: strict}
process: {exec: ["${workspace}"]}
filesystem:
  - {path: "${workspace}", access: read}
"#;

/// The row.
pub(crate) fn measure(daemon: &Daemon) -> Result<Vec<Row>> {
    let policy = daemon.workspace().join("strict.yaml");
    fs::write(&policy, POLICY).context("failed to write the policy")?;
    let times = (0..RUNS).map(|_| act(daemon, &policy)).collect::<Result<Vec<_>>>()?;
    let samples = Samples::new(times);
    let value = samples.median() * 1e3;
    let bar = Some(Bar { most: 50.0, unit: "ms" });
    let what = "from a forbidden act until the agent is dead".to_owned();
    Ok(vec![Row { what, ours: samples.show(), reference: String::new(), value: Some(value), bar }])
}

/// Seconds from one act to the end of everything.
fn act(daemon: &Daemon, policy: &Path) -> Result<f64> {
    let (workspace, name) = (daemon.workspace(), "tripping");
    let probe = workspace.join("probe");
    let mut words = vec!["run", "--detach", "--name", name, "--policy", text(policy)?];
    let pause = PAUSE_MS.to_string();
    words.extend(["--workspace", text(&workspace)?, "--", text(&probe)?, "trip", &pause]);
    daemon.ask(&words)?;
    let dead = death(&daemon.cgroup(name)?)?;
    let said = daemon.ask(&["logs", "--raw", "--stdout-only", name])?;
    daemon.ask(&["rm", name])?;
    let began: i64 = said.lines().next().and_then(|line| line.parse().ok()).context("the probe said no time")?;
    ensure!(dead > began, "it was dead before it acted");
    Ok(Duration::from_nanos(u64::try_from(dead - began)?).as_secs_f64())
}

/// Waits until the group is empty or gone, which it is soon afterwards; the nanoseconds of `CLOCK_MONOTONIC`.
fn death(group: &Path) -> Result<i64> {
    let events = group.join("cgroup.events");
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::read_to_string(&events).is_ok_and(|events| events.contains("populated 1")) {
        ensure!(Instant::now() < deadline, "the agent is not killed");
        std::thread::sleep(OFTEN);
    }
    let now = clock_gettime(ClockId::Monotonic);
    Ok(now.tv_sec * 1_000_000_000 + now.tv_nsec)
}
