//! `agentosd` on a directory of its own, and `agentctl` that speaks to it.

use std::{
    cell::RefCell,
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::interrupt;

const LOG: &str = "agentosd.log";
const READY: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(20);

/// A running daemon; dropped, it ends with everything that it runs.
pub(crate) struct Daemon {
    child: RefCell<Child>,
    bin: PathBuf,
    place: PathBuf,
    agentctl: PathBuf,
    socket: PathBuf,
    ready_line: String,
    agents: RefCell<Vec<String>>,
}

impl Daemon {
    /// Starts the daemon with its state under `place` and waits for its ready line.
    pub(crate) fn start(bin: &Path, place: &Path) -> Result<Self> {
        let mut daemon = Self {
            child: RefCell::new(spawn(bin, place)?),
            bin: bin.to_owned(),
            place: place.to_owned(),
            agentctl: bin.join("agentctl"),
            socket: place.join("run/io.agentos.sock"),
            ready_line: String::new(),
            agents: RefCell::default(),
        };
        daemon.ready_line = daemon.wait_ready()?;
        Ok(daemon)
    }

    fn wait_ready(&self) -> Result<String> {
        interrupt::wait_for("agentosd's ready line", READY, || {
            let text = fs::read_to_string(self.place.join(LOG)).context("failed to read the daemon's log")?;
            if let Some(status) = self.child.borrow_mut().try_wait().context("failed to look after agentosd")? {
                bail!("agentosd ended at once ({status}):\n{}", text.trim());
            }
            let ready = text.lines().find(|line| line.contains("ready"));
            Ok(ready.filter(|_| self.socket.exists()).map(str::to_owned))
        })
    }

    /// Kills it, as a fault of its own or the host's memory killer would.
    pub(crate) fn crash(&self) -> Result<()> {
        let mut child = self.child.borrow_mut();
        child.kill().context("failed to kill agentosd")?;
        child.wait().map(drop).context("failed to wait for agentosd")
    }

    /// Starts another one in its place, and says how long that took.
    pub(crate) fn start_again(&self) -> Result<Duration> {
        let began = Instant::now();
        *self.child.borrow_mut() = spawn(&self.bin, &self.place)?;
        self.wait_ready().map(|_| began.elapsed())
    }

    /// What the daemon said when it was ready.
    pub(crate) fn ready_line(&self) -> &str {
        &self.ready_line
    }

    /// A command line of agentctl, to be completed.
    pub(crate) fn agentctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.agentctl);
        command.arg("--socket").arg(&self.socket).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs agentctl to its end; failure is an error with agentctl's own words.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<String> {
        let output = self.agentctl(arguments).output().context("failed to run agentctl")?;
        let Output { status, stdout, stderr } = output;
        ensure!(
            status.success(),
            "agentctl {} failed ({status}): {}",
            arguments.join(" "),
            String::from_utf8_lossy(&stderr).trim()
        );
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }

    /// Remembers an agent's name, so that it is killed whatever happens.
    pub(crate) fn remember(&self, name: &str) {
        self.agents.borrow_mut().push(name.to_owned());
    }

    /// What `agentctl inspect` says of `name`.
    pub(crate) fn inspect(&self, name: &str) -> Result<Inspected> {
        let text = self.ask(&["inspect", "--json", name])?;
        let value: Value = serde_json::from_str(&text).context("agentctl inspect did not print JSON")?;
        let uid = value["agent"]["uid"].as_u64().and_then(|uid| u32::try_from(uid).ok());
        let cgroups = value["cgroups"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Inspected {
            pid: value["agent"]["pid"].as_u64(),
            uid: uid.context("agentctl inspect named no uid")?,
            cgroups: cgroups.iter().filter_map(|path| path.as_str().map(PathBuf::from)).collect(),
        })
    }

    /// Ends the daemon as an operator's SIGTERM does, and waits.
    pub(crate) fn end(&self) -> Result<(), String> {
        let pid = Pid::from_child(&self.child.borrow());
        kill_process(pid, Signal::TERM).map_err(|error| format!("agentosd could not be signalled: {error}"))?;
        let waited = interrupt::wait_undisturbed("agentosd to end", END, || self.ended().context("failed to wait"));
        waited.map_err(|error| format!("{error:#}"))
    }

    fn ended(&self) -> io::Result<Option<()>> {
        Ok(self.child.borrow_mut().try_wait()?.map(|_| ()))
    }
}

/// Starts the program. The log of one before is written over.
fn spawn(bin: &Path, place: &Path) -> Result<Child> {
    let output = File::create(place.join(LOG)).context("failed to make the daemon's log")?;
    let errors = output.try_clone().context("failed to share the daemon's log")?;
    Command::new(bin.join("agentosd"))
        .arg("--foreground")
        .args(["--state-dir".as_ref(), place.join("state").as_os_str()])
        .args(["--run-dir".as_ref(), place.join("run").as_os_str()])
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        // A group of its own: the terminal's Ctrl-C is for the story, which then ends the daemon in order.
        .process_group(0)
        .spawn()
        .context("failed to start agentosd")
}

/// The part of `agentctl inspect` that the story looks at.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// The agent's own host uid.
    pub(crate) uid: u32,
    /// Its main process, while it runs.
    pub(crate) pid: Option<u64>,
    /// Its cgroup directories on the host.
    pub(crate) cgroups: Vec<PathBuf>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(Some(()))) {
            return;
        }
        // Agents outlive their daemon by design, so they go first.
        for name in self.agents.borrow().iter() {
            if let Err(error) = self.agentctl(&["kill", "-s", "KILL", name]).output() {
                eprintln!("demo: failed to kill the agent {name}: {error}");
            }
        }
        if let Err(error) = self.end() {
            eprintln!("demo: {error}; killing agentosd");
            if let Err(error) = self.child.borrow_mut().kill() {
                eprintln!("demo: failed to kill agentosd: {error}");
            }
        }
    }
}
