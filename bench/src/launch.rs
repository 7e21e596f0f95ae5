//! A confined `/bin/true`: `agentctl run` against hardened bubblewrap, and where the time goes.

use crate::daemon::Daemon;
use crate::table::Row;
use crate::timing::{Samples, in_turns, ratio};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Between two starts in the spaced series: one of each side makes ten a second.
const SPACE: Duration = Duration::from_millis(100);

/// Everything about launching.
pub(crate) fn measure(daemon: &Daemon, rounds: usize) -> Result<Vec<Row>> {
    let ours = || run(daemon.agentctl(&["run", "--rm", "--", "/bin/true"]));
    let theirs = || run(bubblewrap());
    let (a, b) = in_turns(rounds, ours, theirs)?;
    let mut rows =
        vec![Row::ratio("agentctl run -- /bin/true / bwrap, back to back", (a.show(), b.show()), ratio(&a, &b), 1.0)];
    let spaced = |measure: &dyn Fn() -> Result<f64>| {
        std::thread::sleep(SPACE);
        measure()
    };
    let (a, b) = in_turns(rounds / 4 + 1, || spaced(&ours), || spaced(&theirs))?;
    rows.push(Row::ratio("the same, 10 a second", (a.show(), b.show()), ratio(&a, &b), 1.0));
    rows.extend(parts(daemon, rounds)?);
    Ok(rows)
}

/// The parts of a launch. The client's own start and end is what `agentctl --version` takes; the rest is seen from a
/// connection to the control socket, without a client program.
fn parts(daemon: &Daemon, rounds: usize) -> Result<Vec<Row>> {
    let (client, bare) = in_turns(rounds, || run(daemon.agentctl(&["--version"])), || run(Command::new("/bin/true")))?;
    let (mut connect, mut started, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begin = Instant::now();
        let mut control = daemon.connect()?;
        let connected = Instant::now();
        control.send("Run", json!({"command": ["/bin/true"], "remove": true}), true)?;
        control.receive()?;
        let running = Instant::now();
        control.receive()?;
        connect.push((connected - begin).as_secs_f64());
        started.push((running - connected).as_secs_f64());
        ended.push(running.elapsed().as_secs_f64());
        // Room for the spares to be made again, as between launches of people.
        std::thread::sleep(SPACE / 2);
    }
    Ok(vec![
        Row::compared(
            "  part: agentctl itself, start to end / bare true",
            (client.show(), bare.show()),
            ratio(&client, &bare),
        ),
        Row::figure("  part: connect to the control socket", Samples::new(connect).show()),
        Row::figure("  part: call to 'it runs' (policy, plan, sandbox, exec)", Samples::new(started).show()),
        Row::figure("  part: 'it runs' to 'it has ended' (true, reaping, record)", Samples::new(ended).show()),
    ])
}

fn bubblewrap() -> Command {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
    command.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "/bin/true"]);
    command
}

/// From before the program is started until it has been waited for.
fn run(mut command: Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("failed to run {}", command.get_program().display()))?;
    let time = begin.elapsed().as_secs_f64();
    ensure!(status.success(), "{} ended with {status}", command.get_program().display());
    Ok(time)
}
