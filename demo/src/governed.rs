//! Actions: what an agent asks for is decided, held for a person, done by a process of its own, and proved afterwards.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{daemon::Daemon, interrupt::wait_for, story::Row, story::Story};

/// Asks over the agent's own socket; the tests use the same.
const CLIENT: &str = include_str!("../../tests/actions/ask.py");

/// The chapter.
pub(crate) fn actions(story: &mut Story, daemon: &Daemon, place: &Path) -> Result<()> {
    story.chapter("5. What an agent asks for");
    let (data, workspace) = (place.join("data"), place.join("governed"));
    for directory in [&data, &workspace] {
        fs::create_dir(directory).context("failed to make a directory")?;
    }
    fs::write(data.join("prices.csv"), "tea,3\n").context("failed to write a file")?;
    fs::write(workspace.join("report.txt"), "draft\n").context("failed to write a file")?;
    fs::write(workspace.join("ask.py"), CLIENT).context("failed to write a file")?;
    let rules = [
        "extends: [base]".to_owned(),
        "filesystem: [{path: \"${workspace}\", access: read}]".to_owned(),
        "policies:".to_owned(),
        format!("  - {{action: file_read, paths: [\"{}/**\"]}}", data.display()),
        "  - {action: file_write, paths: [\"${workspace}/**\"], requires_approval: true}".to_owned(),
        "  - {action: process_exec, exec: [/usr/bin/id]}".to_owned(),
    ];
    rules.iter().for_each(|line| story.note(line));
    let policy = place.join("governed.yaml");
    fs::write(&policy, rules.join("\n") + "\n").context("failed to write the policy")?;
    let (policy, directory) = (policy.display().to_string(), workspace.display().to_string());
    daemon.remember("governed");
    daemon.ask(&[
        "run",
        "--detach",
        "--name",
        "governed",
        "--policy",
        &policy,
        "--workspace",
        &directory,
        "--",
        "sleep",
        "600",
    ])?;
    let read = |path: &Path| json!({"action": "file_read", "params": {"path": path}});
    let exec = |argv: &[&str]| json!({"action": "process_exec", "params": {"argv": argv}});
    let requests = [
        ("read data/prices.csv", read(&data.join("prices.csv"))),
        ("read data/../../../etc/shadow", read(&data.join("../../../etc/shadow"))),
        (
            "read /etc/shadow, \"approved\"",
            json!({"action": "file_read", "params": {"path": "/etc/shadow", "approved": true}}),
        ),
        ("run id", exec(&["id", "-u"])),
        ("run sh -c id", exec(&["sh", "-c", "id"])),
    ];
    let mut answers = Vec::new();
    for (label, request) in &requests {
        answers.push((*label, ask(daemon, &workspace, request)?.wait()?));
    }
    let row = |(label, reply): &(&str, Value)| {
        let done = reply["success"] == true;
        let reason = reply["error"]["reason"].as_str().unwrap_or_default();
        let stopped_by = if done { String::new() } else { format!("{reason}, record {}", reply["audit_seq"]) };
        Row { attempted: (*label).to_owned(), executed: if done { "yes" } else { "no" }, stopped_by }
    };
    story.table(&answers.iter().map(row).collect::<Vec<_>>());
    let done: Vec<&str> =
        answers.iter().filter(|(_, reply)| reply["success"] == true).map(|(label, _)| *label).collect();
    let expected = ["read data/prices.csv", "run id"];
    story.check("what the policy allows was done, and nothing else", same(&done, &expected));
    approve(story, daemon, &workspace)?;
    daemon.ask(&["rm", "--force", "governed"]).map(drop)
}

/// An action that a person has to approve.
fn approve(story: &mut Story, daemon: &Daemon, workspace: &Path) -> Result<()> {
    let report = workspace.join("report.txt");
    let request = json!({"action": "file_write", "params": {"path": report, "content": "final\n"}});
    let asked = ask(daemon, workspace, &request)?;
    let id = wait_for("the action to wait for a person", Duration::from_secs(20), || {
        let text = daemon.ask(&["approvals", "--json"])?;
        Ok(text.split('"').find(|word| word.starts_with("ap-")).map(str::to_owned))
    })?;
    let held = fs::read_to_string(&report).context("failed to read the report")?;
    story.note(&format!("$ agentctl approvals show {id}"));
    daemon.ask(&["approvals", "show", &id])?.lines().for_each(|line| story.note(&format!("  {line}")));
    daemon.ask(&["approvals", "approve", &id, "--yes"])?;
    let reply = asked.wait()?;
    let written = fs::read_to_string(&report).context("failed to read the report")?;
    let seen =
        if held == "draft\n" && written == "final\n" { Ok(()) } else { Err(format!("{held:?}, {written:?}: {reply}")) };
    story.check("the file was written when a person had approved exactly that, and not before", seen);
    Ok(())
}

/// The audit log: whole, and provable to somebody who trusts neither us nor this host.
pub(crate) fn proof(story: &mut Story, daemon: &Daemon, place: &Path) -> Result<()> {
    story.note("$ agentctl audit log --agent governed --last 8");
    let log = daemon.ask(&["audit", "log", "--agent", "governed", "--last", "8"])?;
    log.lines().for_each(|line| story.note(&format!("  {line}")));
    let directory = place.join("state/audit").display().to_string();
    // It is signed once a second.
    let verified = wait_for("a checkpoint", Duration::from_secs(10), || {
        Ok(daemon.ask(&["audit", "verify", "--dir", &directory]).ok())
    })?;
    verified.lines().for_each(|line| story.note(&format!("  {line}")));
    let segment = fs::read_dir(place.join("state/audit")).context("failed to list the log")?;
    let copy = place.join("changed");
    fs::create_dir(&copy).context("failed to make a directory")?;
    for file in segment {
        let path = file.context("failed to list the log")?.path();
        let Some(name) = path.file_name().filter(|_| path.is_file()) else { continue };
        let bytes = fs::read(&path).context("failed to read the log")?;
        let text = String::from_utf8_lossy(&bytes).replace("/etc/shadow", "/etc/hostname");
        fs::write(copy.join(name), text).context("failed to copy the log")?;
    }
    let changed = daemon.agentctl(&["audit", "verify", "--dir", &copy.display().to_string()]).output();
    let changed = changed.context("failed to run agentctl")?;
    let said = String::from_utf8_lossy(&changed.stdout).into_owned();
    story.note("a copy in which /etc/shadow was made /etc/hostname:");
    said.lines().take(6).for_each(|line| story.note(&format!("  {line}")));
    story.check(
        "the log is whole, and a changed copy is found out",
        if changed.status.success() { Err(said) } else { Ok(()) },
    );
    Ok(())
}

/// A request on its way.
struct Asked(Child);

impl Asked {
    fn wait(self) -> Result<Value> {
        let output = self.0.wait_with_output().context("failed to wait for agentctl")?;
        ensure!(output.status.success(), "asking failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        serde_json::from_slice(&output.stdout).context("the reply is not JSON")
    }
}

fn ask(daemon: &Daemon, workspace: &Path, request: &Value) -> Result<Asked> {
    let (client, text) = (workspace.join("ask.py").display().to_string(), request.to_string());
    let mut command = daemon.agentctl(&["exec", "governed", "--", "/usr/bin/python3", &client, &text]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map(Asked).context("failed to run agentctl")
}

fn same(seen: &[&str], expected: &[&str]) -> Result<(), String> {
    if seen == expected { Ok(()) } else { Err(format!("done: {}", seen.join(", "))) }
}
