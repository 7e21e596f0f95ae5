//! `agentosd` on a directory of its own, agents in it, and its control socket spoken directly.

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Room for a thousand processes; programs from the workspace may be executed.
const POLICY: &str = r#"extends: [base]
process:
  exec: ["${workspace}"]
  limits: {memory: 8GiB, pids: 8192, wall: 1h}
filesystem:
  - {path: "${workspace}", access: read}
"#;

/// A running daemon; dropped, it ends with every agent.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    binaries: PathBuf,
    place: tempfile::TempDir,
    /// In memory, as `/run` is on a host; the state is on the disk.
    run: tempfile::TempDir,
}

impl Daemon {
    /// Starts it with the programs in `binaries` and waits until it answers.
    pub(crate) fn start(binaries: &Path) -> Result<Self> {
        let place =
            tempfile::Builder::new().prefix("agentos-bench-").tempdir().context("failed to make a directory")?;
        let workspace = place.path().join("workspace");
        fs::create_dir(&workspace).context("failed to make the workspace")?;
        fs::copy(binaries.join("probe"), workspace.join("probe")).context("failed to copy probe")?;
        fs::write(place.path().join("policy.yaml"), POLICY).context("failed to write the policy")?;
        let run = tempfile::Builder::new().prefix("agentos-bench-").tempdir_in("/dev/shm");
        let run = run.context("failed to make a directory in memory")?;
        let child = spawn(binaries, (place.path(), run.path()))?;
        let mut daemon = Self { child, binaries: binaries.to_owned(), place, run };
        daemon.wait_ready()?;
        Ok(daemon)
    }

    /// Kills it, and starts another in its place: seconds from then until that one answers.
    pub(crate) fn replace(&mut self) -> Result<f64> {
        self.child.kill().context("failed to kill agentosd")?;
        self.child.wait().context("failed to wait for agentosd")?;
        let began = Instant::now();
        self.child = spawn(&self.binaries, (self.place.path(), self.run.path()))?;
        self.wait_ready()?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Ends it with every agent: seconds until it has ended.
    pub(crate) fn end(mut self) -> Result<f64> {
        let began = Instant::now();
        self.terminate()?;
        Ok(began.elapsed().as_secs_f64())
    }

    fn terminate(&mut self) -> Result<()> {
        if self.child.try_wait().context("failed to look after agentosd")?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).context("failed to end agentosd")?;
            self.child.wait().context("failed to wait for agentosd")?;
        }
        Ok(())
    }

    fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let ended = self.child.try_wait().context("failed to look after agentosd")?;
            if ended.is_some() || Instant::now() > deadline {
                bail!("agentosd did not become ready:\n{}", self.log());
            }
            // The socket of one that was killed is there and refuses.
            if UnixStream::connect(self.socket()).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.place.path().join("agentosd.log")).unwrap_or_default();
        log.trim().to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn socket(&self) -> PathBuf {
        self.run.path().join("io.agentos.sock")
    }

    /// The directory that agents of [`Self::start_agent`] work in; `probe` lies there.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.place.path().join("workspace")
    }

    /// The policy of the same agents.
    pub(crate) fn policy(&self) -> PathBuf {
        self.place.path().join("policy.yaml")
    }

    /// A command line of agentctl, silent.
    pub(crate) fn agentctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binaries.join("agentctl"));
        command.arg("--socket").arg(self.socket()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs agentctl; what it prints.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.agentctl(arguments);
        let output =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().context("failed to run agentctl")?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "agentctl {} failed: {}", arguments.join(" "), err.trim());
        Ok(out.into_owned())
    }

    /// Starts an agent in the workspace.
    pub(crate) fn start_agent(&self, name: &str, command: &[&str]) -> Result<()> {
        let (policy, workspace) = (self.policy(), self.workspace());
        let mut arguments = vec!["run", "--detach", "--name", name, "--policy"];
        arguments.extend([text(&policy)?, "--workspace", text(&workspace)?, "--"]);
        arguments.extend(command);
        self.ask(&arguments).map(drop)
    }

    /// The directory of an agent's version 2 control group.
    pub(crate) fn cgroup(&self, name: &str) -> Result<PathBuf> {
        let details: Value =
            serde_json::from_str(&self.ask(&["inspect", "--json", name])?).context("failed to read")?;
        let paths = details["cgroups"].as_array().into_iter().flatten().filter_map(Value::as_str).map(PathBuf::from);
        paths.into_iter().find(|path| path.join("cgroup.kill").exists()).context("the agent has no cgroup.kill")
    }

    /// Connects to the control socket.
    pub(crate) fn connect(&self) -> Result<Control> {
        let stream = UnixStream::connect(self.socket()).context("failed to connect to the control socket")?;
        Ok(Control(BufReader::new(stream)))
    }
}

fn spawn(binaries: &Path, (place, run): (&Path, &Path)) -> Result<Child> {
    let log = File::options().create(true).append(true).open(place.join("agentosd.log"));
    let log = log.context("failed to make the daemon's log")?;
    Command::new(binaries.join("agentosd"))
        .args(["--state-dir".as_ref(), place.join("state").as_os_str()])
        .args(["--run-dir".as_ref(), run.as_os_str()])
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("failed to share the daemon's log")?)
        .stderr(log)
        .spawn()
        .context("failed to start agentosd")
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.terminate() {
            eprintln!("bench: {error:#}");
        }
    }
}

/// A connection to the control socket.
#[derive(Debug)]
pub(crate) struct Control(BufReader<UnixStream>);

impl Control {
    /// Sends a call; `more` asks for every reply.
    pub(crate) fn send(&mut self, method: &str, parameters: Value, more: bool) -> Result<()> {
        let mut call = json!({"method": format!("io.agentos.Control.{method}"), "parameters": parameters});
        if more {
            call["more"] = json!(true);
        }
        let mut bytes = call.to_string().into_bytes();
        bytes.push(0);
        self.0.get_mut().write_all(&bytes).context("failed to send a call")
    }

    /// Waits for one reply.
    pub(crate) fn receive(&mut self) -> Result<Value> {
        let mut bytes = Vec::new();
        self.0.read_until(0, &mut bytes).context("failed to read a reply")?;
        ensure!(bytes.pop() == Some(0), "agentosd closed the connection");
        let reply: Value = serde_json::from_slice(&bytes).context("a reply is not JSON")?;
        ensure!(reply.get("error").is_none(), "agentosd refused: {reply}");
        Ok(reply)
    }
}
