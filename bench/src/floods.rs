//! Actions of an agent beside another one that takes all it can of something.

use crate::actions;
use crate::daemon::{Daemon, text};
use crate::table::Row;
use crate::timing::{Samples, show};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Calls in one run; runs beside each flood, and as many beside nothing.
const CALLS: usize = 500;
const RUNS: usize = 6;

/// What floods, by the resource. The limits are those of `base`, but for the processor: one of two.
const FLOODS: [(&str, &str); 6] = [
    ("fork", "exec PROBE forkbomb"),
    ("memory", "while :; do PROBE membomb anon 4G; done"),
    ("descriptors", "for i in 1 2 3 4 5 6 7 8; do PROBE fdbomb & done; wait"),
    ("output", "exec PROBE flood"),
    ("denials", "while :; do true < /etc/shadow; done 2>/dev/null"),
    (
        "its control socket",
        "for i in 1 2 3 4; do (while :; do PROBE ask /run/agentos/kernel.sock 1000 'CALL'; done) & done; wait",
    ),
];

const POLICY: &str = r#"extends: [base]
process:
  exec: ["${workspace}"]
  limits: {cpu: 1.0, output: 1TiB, repeats: 1000000000, actions: 1000000000}
filesystem: [{path: "${workspace}", access: read}]
policies:
  - {action: database_query}
"#;

/// A row for each flood.
pub(crate) fn measure(binaries: &Path) -> Result<Vec<Row>> {
    let daemon = Daemon::start(binaries)?;
    let policy = daemon.workspace().join("flood.yaml");
    fs::write(&policy, POLICY).context("failed to write the policy")?;
    start(&daemon, "asking", &["/bin/sleep", "1000"])?;
    let probe = daemon.workspace().join("probe");
    let call = json!({"method": "io.agentos.Kernel.Check", "parameters": {"action": "database_query",
        "params": {"query": "SELECT 1"}}});
    let mut rows = Vec::new();
    for (what, script) in FLOODS {
        let script = script.replace("PROBE", text(&probe)?).replace("CALL", &call.to_string());
        let (mut quiet, mut beside) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for _ in 0..RUNS {
            ask(&daemon, &mut quiet)?;
            start(&daemon, "flooding", &["/bin/sh", "-c", &script])?;
            std::thread::sleep(Duration::from_millis(500));
            ask(&daemon, &mut beside)?;
            let state = daemon.ask(&["ps", "--all"])?;
            daemon.ask(&["rm", "--force", "flooding"])?;
            ensure!(
                state.lines().any(|line| line.contains("flooding") && line.contains("running")),
                "it has ended:\n{state}"
            );
        }
        let pairs = [("decided", quiet.0, beside.0), ("and on record", quiet.1, beside.1)];
        for (how, quiet, beside) in pairs {
            let (quiet, beside) = (Samples::new(quiet).quantile(99, 100), Samples::new(beside).quantile(99, 100));
            let name = format!("an action {how}, beside a flood of {what}, 99 of 100");
            rows.push(Row::ratio(name, (show(beside), show(quiet)), beside / quiet, 2.0));
        }
    }
    Ok(rows)
}

fn start(daemon: &Daemon, name: &str, command: &[&str]) -> Result<()> {
    let (policy, workspace) = (daemon.workspace().join("flood.yaml"), daemon.workspace());
    let mut words = vec!["run", "--detach", "--name", name, "--policy", text(&policy)?];
    words.extend(["--workspace", text(&workspace)?, "--"]);
    words.extend(command);
    daemon.ask(&words).map(drop)
}

/// Decided only, and on record.
fn ask(daemon: &Daemon, (decided, recorded): &mut (Vec<f64>, Vec<f64>)) -> Result<()> {
    let check = json!({"action": "database_query", "params": {"query": "SELECT 1"}});
    let refused = json!({"action": "file_read", "params": {"path": "/etc/hostname"}});
    decided.extend(actions::ask(daemon, ("Check", &check, "allow"), CALLS)?);
    recorded.extend(actions::ask(daemon, ("Execute", &refused, "nothing_granted"), CALLS)?);
    Ok(())
}
