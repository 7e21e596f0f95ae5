//! The agent: an installed CLI under `agentctl run`, with the scripted model as its main process.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Arguments,
    daemon::Daemon,
    interrupt,
    journal::{self, Attempt},
    workspace::Workspace,
};

const PATIENCE: Duration = Duration::from_secs(180);

/// What `tests/agents/command` prints.
#[derive(Debug, Deserialize)]
struct Invocation {
    package: String,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    read: Vec<String>,
}

/// The CLI, ready to be run.
pub(crate) struct Cli {
    invocation: Invocation,
    place: PathBuf,
}

/// One run of it.
pub(crate) struct Run<'a> {
    /// The agent's name for agentctl.
    pub(crate) name: &'a str,
    /// Which script the model plays, without `.json`.
    pub(crate) script: &'a str,
    /// Where it works.
    pub(crate) workspace: &'a Workspace,
    /// The script's variables.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Cli {
    /// Puts the model, its scripts and the policy under `place`, so that the sandbox need not see the build tree.
    pub(crate) fn prepare(arguments: &Arguments, place: &Path) -> Result<Self> {
        let stage = place.join("model");
        fs::create_dir(&stage).context("failed to make the model's directory")?;
        fs::copy(arguments.bin.join("scripted-model"), stage.join("scripted-model"))
            .context("failed to copy scripted-model")?;
        for script in ["honest", "hostile", "ticking"] {
            let name = format!("{script}.json");
            fs::copy(arguments.repository.join("tests/scripts").join(&name), stage.join(&name))
                .with_context(|| format!("failed to copy the script {name}"))?;
        }
        let command = arguments.repository.join("tests/agents/command");
        let output = Command::new(&command).arg(&arguments.cli).arg(&arguments.agents).output();
        let output = output.with_context(|| format!("failed to run {}", command.display()))?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        let invocation: Invocation =
            serde_json::from_slice(&output.stdout).with_context(|| format!("{} printed no JSON", command.display()))?;
        let cli = Self { invocation, place: place.to_owned() };
        fs::write(cli.policy_path(), cli.policy()).context("failed to write the policy")?;
        Ok(cli)
    }

    /// The package and version that npm installed.
    pub(crate) fn package(&self) -> &str {
        &self.invocation.package
    }

    /// The directory of this telling.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Runs in the foreground, to the end; gives what the model's journal says.
    pub(crate) fn run(&self, daemon: &Daemon, run: &Run<'_>) -> Result<Vec<Attempt>> {
        let output = self.place.join(format!("{}.out", run.name));
        let log = File::create(&output).context("failed to make the agent's output file")?;
        let errors = log.try_clone().context("failed to share the agent's output file")?;
        let mut command = self.command(daemon, run, &[]);
        let child = command.stdout(log).stderr(errors).spawn().context("failed to run agentctl")?;
        let mut child = Foreground(child);
        let what = format!("the agent {} to finish", run.name);
        let status = interrupt::wait_for(&what, PATIENCE, || child.0.try_wait().context("failed to wait for agentctl"));
        let said = || fs::read_to_string(&output).unwrap_or_default();
        let status = match status {
            Err(error) if !interrupt::asked_for() => return Err(error.context(format!("it said:\n{}", said().trim()))),
            other => other?,
        };
        ensure!(status.success(), "the agent {} failed ({status}); it said:\n{}", run.name, said().trim());
        journal::attempts(&self.journal(run))
    }

    /// Starts it and leaves it running.
    pub(crate) fn detach(&self, daemon: &Daemon, run: &Run<'_>) -> Result<()> {
        let output = self.command(daemon, run, &["--detach"]).output().context("failed to run agentctl")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the agent {} did not start: {}", run.name, errors.trim());
        Ok(())
    }

    fn command(&self, daemon: &Daemon, run: &Run<'_>, options: &[&str]) -> Command {
        daemon.remember(run.name);
        let mut command = daemon.agentctl(&["run", "--name", run.name]);
        command.args(options).arg("--policy").arg(self.policy_path()).arg("--workspace").arg(run.workspace.path());
        for (name, value) in &self.invocation.env {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        for (name, value) in &run.variables {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        let model = self.place.join("model");
        command.arg("--").arg(model.join("scripted-model"));
        command.arg("--script").arg(model.join(format!("{}.json", run.script)));
        // The port is the sandbox's own: its network namespace has a loopback of its own.
        command.arg("--log").arg(self.journal(run)).args(["--port", "4010", "--"]).args(&self.invocation.argv);
        command
    }

    fn journal(&self, run: &Run<'_>) -> PathBuf {
        run.workspace.path().join(format!("{}.jsonl", run.script))
    }

    fn policy_path(&self) -> PathBuf {
        self.place.join("demo.yaml")
    }

    /// JSON is YAML, and it quotes whatever the paths contain.
    fn policy(&self) -> String {
        let model = self.place.join("model").display().to_string();
        let programs: Vec<_> = self.invocation.read.iter().chain([&model]).collect();
        let readable: Vec<_> = programs.iter().map(|path| json!({"path": path, "access": "read"})).collect();
        json!({"extends": ["coding-agent"], "process": {"exec": programs}, "filesystem": readable}).to_string()
    }
}

/// A child that does not outlive the story.
struct Foreground(Child);

impl Drop for Foreground {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("demo: failed to end agentctl: {error}");
        }
    }
}

/// A child of the host that ends with the story, started without input or output.
pub(crate) fn silent(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
