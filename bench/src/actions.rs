//! Actions over an agent's own socket: decided only, decided and on record, done. Beside the first, the same request to the
//! Python kernel that the requests come from, in its own process and with nothing done.

use crate::daemon::{Daemon, text};
use crate::table::Row;
use crate::timing::{Samples, ratio, show};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Calls in one run, and runs, one side after the other.
const CALLS: usize = 1000;
const RUNS: usize = 5;
/// The last release on its registry at the time of writing, and what it imports without naming it.
const PACKAGES: [&str; 3] = ["agent-os-kernel==3.7.0", "pyyaml", "pydantic"];

const POLICY: &str = r#"extends: [base]
process: {exec: ["${workspace}"], limits: {memory: 1GiB, pids: 128, repeats: 1000000}}
filesystem: [{path: "${workspace}", access: read}]
policies:
  - {action: database_query}
  - {action: file_read, paths: ["${workspace}/**"]}
"#;

/// All rows.
pub(crate) fn measure(daemon: &Daemon) -> Result<Vec<Row>> {
    let policy = daemon.workspace().join("actions.yaml");
    fs::write(&policy, POLICY).context("failed to write the policy")?;
    let workspace = daemon.workspace();
    daemon.ask(&[
        "run",
        "--detach",
        "--name",
        "asking",
        "--policy",
        text(&policy)?,
        "--workspace",
        text(&workspace)?,
        "--",
        "/bin/sleep",
        "600",
    ])?;
    let seed = json!({"action": "database_query", "params": {"query": "SELECT * FROM users"},
        "context": {"policies": ["read_only", "no_pii"]}});
    let refused = json!({"action": "file_read", "params": {"path": "/etc/hostname"}});
    let done = json!({"action": "file_read", "params": {"path": policy, "length": 100}});
    let (mut checked, mut recorded, mut read, mut python) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let peer = install().inspect_err(|error| eprintln!("bench: without the Python kernel: {error:#}")).ok();
    for _ in 0..RUNS {
        checked.extend(ask(daemon, ("Check", &seed, "allow"), CALLS)?);
        recorded.extend(ask(daemon, ("Execute", &refused, "nothing_granted"), CALLS)?);
        read.extend(ask(daemon, ("Execute", &done, "content"), 40)?);
        if let Some(peer) = &peer {
            python.extend(ask_python(peer)?);
        }
    }
    daemon.ask(&["rm", "--force", "asking"])?;
    let (checked, recorded, read) = (Samples::new(checked), Samples::new(recorded), Samples::new(read));
    let slow = recorded.quantile(99, 100);
    let mut rows = vec![
        Row::amount("an action decided over the agent's socket", checked.show(), checked.median() * 1e6, (60.0, "µs")),
        Row::amount("a decision with its record on disk", recorded.show(), recorded.median() * 1e3, (1.0, "ms")),
        Row::amount("  99 of 100", show(slow), slow * 1e3, (5.0, "ms")),
        Row::figure("file_read, done by a process of its own", read.show()),
    ];
    if !python.is_empty() {
        let python = Samples::new(python);
        let sides = (checked.show(), python.show());
        let what = "  the first beside agent-os-kernel 3.7.0 in the caller's process, which does and records nothing";
        rows.insert(1, Row::compared(what, sides, ratio(&checked, &python)));
    }
    Ok(rows)
}

/// Seconds of each call, by `probe` inside the agent.
pub(crate) fn ask(
    daemon: &Daemon,
    (method, request, expected): (&str, &Value, &str),
    calls: usize,
) -> Result<Vec<f64>> {
    let call = json!({"method": format!("io.agentos.Kernel.{method}"), "parameters": request}).to_string();
    let (probe, calls) = (daemon.workspace().join("probe"), calls.to_string());
    let words = ["exec", "asking", "--", text(&probe)?, "ask", "/run/agentos/kernel.sock", &calls, &call];
    let said = daemon.ask(&words)?;
    let (reply, times) = said.split_once('\n').context("the probe said nothing")?;
    ensure!(reply.contains(expected), "the answer is another one: {reply}");
    seconds(times)
}

fn seconds(nanoseconds: &str) -> Result<Vec<f64>> {
    nanoseconds.lines().map(|line| Ok(line.parse::<f64>().context("no time")? / 1e9)).collect()
}

/// A Python with the package, kept under `target/` between runs.
fn install() -> Result<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python-kernel");
    let python = place.join("bin/python");
    let run = |command: &mut Command| -> Result<()> {
        let output = command.output().context("failed to run python3")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    };
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    }
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES))?;
    Ok(python)
}

/// The same request to the Python kernel: seconds of each call.
fn ask_python(python: &Path) -> Result<Vec<f64>> {
    let script = "
import asyncio, sys, time
from agent_os import StatelessKernel, ExecutionContext
async def main():
    kernel = StatelessKernel()
    context = ExecutionContext(agent_id='analyst-001', policies=['read_only', 'no_pii'])
    for _ in range(int(sys.argv[1])):
        begin = time.perf_counter_ns()
        result = await kernel.execute(action='database_query', params={'query': 'SELECT * FROM users'}, context=context)
        print(time.perf_counter_ns() - begin)
        assert result.success
asyncio.run(main())
";
    let output = Command::new(python).args(["-c", script]).arg(CALLS.to_string()).output();
    let output = output.context("failed to run the Python kernel")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    seconds(&String::from_utf8_lossy(&output.stdout))
}
