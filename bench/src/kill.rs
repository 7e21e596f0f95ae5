//! SIGKILL of many processes: through `agentosd` against a bare write to `cgroup.kill`.

use crate::daemon::{Daemon, text};
use crate::table::Row;
use crate::timing::{Samples, in_turns, ratio, show};
use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Both sizes of the bar.
pub(crate) fn measure(daemon: &Daemon, rounds: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for processes in [100, 1000] {
        let (ours, bare) = in_turns(rounds, || through_socket(daemon, processes), || bare(daemon, processes))?;
        let sides = (ours.show(), bare.show());
        let over = ours.median() - bare.median();
        rows.push(Row::ratio(
            format!("kill of {processes} processes / bare cgroup.kill"),
            sides,
            ratio(&ours, &bare),
            1.2,
        ));
        rows.push(Row::figure("  the difference", show(over)));
    }
    let idle = (0..rounds).map(|_| through_socket(daemon, 0)).collect::<Result<Vec<_>>>()?;
    rows.push(Row::figure("  fixed part: kill of an agent of one process", Samples::new(idle).show()));
    let client = (0..rounds).map(|_| through_agentctl(daemon)).collect::<Result<Vec<_>>>()?;
    rows.push(Row::figure("  the same with the start of agentctl", Samples::new(client).show()));
    Ok(rows)
}

/// One call over the control socket, from the call to the reply: every process is dead then.
fn through_socket(daemon: &Daemon, processes: usize) -> Result<f64> {
    let name = start(daemon, processes)?;
    let mut control = daemon.connect()?;
    let begin = Instant::now();
    control.send("Kill", json!({"name": name, "signal": "SIGKILL"}), false)?;
    control.receive()?;
    let time = begin.elapsed().as_secs_f64();
    daemon.ask(&["rm", &name])?;
    Ok(time)
}

fn through_agentctl(daemon: &Daemon) -> Result<f64> {
    let name = start(daemon, 0)?;
    let begin = Instant::now();
    daemon.ask(&["kill", "-9", &name])?;
    let time = begin.elapsed().as_secs_f64();
    daemon.ask(&["rm", &name])?;
    Ok(time)
}

/// An agent with so many processes; with one that only sleeps for 0.
fn start(daemon: &Daemon, processes: usize) -> Result<String> {
    let name = "tree".to_owned();
    let probe = daemon.workspace().join("probe");
    match processes {
        0 => daemon.start_agent(&name, &["sleep", "1000"])?,
        some => daemon.start_agent(&name, &[text(&probe)?, "tree", &some.to_string()])?,
    }
    // PID 1 inside, which is ours, is one more.
    wait_for(&daemon.cgroup(&name)?, processes.max(1) + 1)?;
    Ok(name)
}

/// The same processes in a control group of the host: one write, then until the kernel says that none is left.
fn bare(daemon: &Daemon, processes: usize) -> Result<f64> {
    let group = Group::make()?;
    let mut child = Command::new("sh")
        .args(["-c", r#"echo $$ > "$1/cgroup.procs" && exec "$2" tree "$3""#, "sh", text(&group.0)?])
        .args([text(&daemon.workspace().join("probe"))?, &processes.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("failed to start a tree")?;
    wait_for(&group.0, processes)?;
    let mut events = File::open(group.0.join("cgroup.events")).context("failed to open cgroup.events")?;
    let begin = Instant::now();
    fs::write(group.0.join("cgroup.kill"), "1").context("failed to write cgroup.kill")?;
    loop {
        let mut now = String::new();
        events.rewind().and_then(|()| events.read_to_string(&mut now)).context("failed to read cgroup.events")?;
        if now.contains("populated 0") {
            break;
        }
        poll(&mut [PollFd::new(&events, PollFlags::PRI)], None).context("failed to wait for cgroup.events")?;
    }
    let time = begin.elapsed().as_secs_f64();
    child.wait().context("failed to wait for the tree")?;
    Ok(time)
}

/// Until so many processes are in the group and at rest.
fn wait_for(group: &Path, processes: usize) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let list = fs::read_to_string(group.join("cgroup.procs")).context("failed to read cgroup.procs")?;
        if list.lines().count() >= processes {
            // What was forked last still has a few instructions to go until it sleeps.
            std::thread::sleep(Duration::from_millis(50));
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "only {} of {processes} processes appeared", list.lines().count());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A version 2 group of our own, removed at the end.
struct Group(PathBuf);

impl Group {
    fn make() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("failed to read the mounts")?;
        let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let root =
            fields.into_iter().find(|fields| fields.get(2) == Some(&"cgroup2")).context("no cgroup2 is mounted")?;
        let path = Path::new(root[1]).join(format!("agentos-bench-{}", std::process::id()));
        fs::create_dir(&path).context("failed to make a cgroup")?;
        Ok(Self(path))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Also when a measurement failed with processes in it.
        let killed = fs::write(self.0.join("cgroup.kill"), "1");
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.0).is_err() {
            if Instant::now() > deadline {
                return eprintln!("bench: {} cannot be removed (killed: {killed:?})", self.0.display());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
