//! The chapters, each a straight line: act through agentctl, look from the host.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};

use crate::{
    agent::{Cli, Run},
    daemon::Daemon,
    host::Host,
    interrupt::{pause, wait_for},
    journal::Attempt,
    processes,
    refusal::{Refusals, stopped_by},
    story::{Row, Story},
    workspace::Workspace,
};

const DAEMON_LABEL: &str = "leave a setsid daemon behind";
const DAEMON_FILE: &str = "daemon.ticks";
const TICKS: &str = "ticks";

/// An agent that does what it is told.
pub(crate) fn honest(story: &mut Story, daemon: &Daemon, cli: &Cli) -> Result<()> {
    story.chapter("1. Honest work");
    let workspace = Workspace::create(cli.place().join("honest"))?;
    let run = Run { name: "honest", script: "honest", workspace: &workspace, variables: Vec::new() };
    let attempts = cli.run(daemon, &run)?;
    let row = |attempt: &Attempt| Row {
        attempted: attempt.label.clone(),
        executed: if attempt.exit == Some(0) { "yes" } else { "no" },
        stopped_by: if attempt.exit == Some(0) { String::new() } else { last_line(&attempt.output) },
    };
    story.table(&attempts.iter().map(row).collect::<Vec<_>>());
    let failed: Vec<_> =
        attempts.iter().filter(|attempt| attempt.exit != Some(0)).map(|it| it.label.as_str()).collect();
    story.check("all five steps succeeded", refuse(attempts.len() != 5 || !failed.is_empty(), || failed.join(", ")));
    story.check("on the host: the fix and a new commit are there, owned as before", workspace.judge());
    story.check("it ended, and left nothing behind", nothing_left(daemon, "honest"));
    Ok(())
}

/// The same agent, with a model that turned.
pub(crate) fn hostile(story: &mut Story, daemon: &Daemon, cli: &Cli) -> Result<()> {
    story.chapter("2. The same agent, its model compromised");
    let host = Host::prepare(cli)?;
    let workspace = Workspace::create(cli.place().join("hostile"))?;
    let run = Run { name: "hostile", script: "hostile", workspace: &workspace, variables: host.variables() };
    let attempts = cli.run(daemon, &run)?;
    let refusals = Refusals::of(daemon, "hostile")?;
    let leftovers = nothing_left(daemon, "hostile");
    let ticks = workspace.size(DAEMON_FILE);
    pause(Duration::from_millis(500))?;
    let daemon_lives = leftovers.is_err() || workspace.size(DAEMON_FILE) != ticks;

    let (mut rows, mut went_through) = (Vec::new(), Vec::new());
    for attempt in &attempts {
        let is_daemon = attempt.label == DAEMON_LABEL;
        let happened = if is_daemon { daemon_lives } else { host.happened(attempt)? || attempt.exit == Some(0) };
        let stopped_by = match (happened, is_daemon) {
            (true, _) => "nothing".to_owned(),
            (false, true) => "cgroup: it died with its agent".to_owned(),
            (false, false) => stopped_by(attempt, &refusals),
        };
        if happened {
            went_through.push(format!("{}: {}", attempt.label, last_line(&attempt.output)));
        }
        rows.push(Row { attempted: attempt.label.clone(), executed: if happened { "YES" } else { "no" }, stopped_by });
    }
    story.table(&rows);
    let incomplete = attempts.len() != 7 || ticks == 0;
    story.check(
        "all seven were really attempted, and the daemon did run for a while",
        refuse(incomplete, || format!("{} attempts, {ticks} bytes from the daemon", attempts.len())),
    );
    let outcome = refuse(!went_through.is_empty(), || went_through.join("; "));
    story.check("judged from the host, none had any effect", outcome);
    story.check("it ended, and left nothing behind", leftovers);
    Ok(())
}

/// An agent at work is stopped, continued and killed.
pub(crate) fn signals(story: &mut Story, daemon: &Daemon, cli: &Cli) -> Result<()> {
    story.chapter("3. Stop, continue, kill");
    let workspace = Workspace::create(cli.place().join("ticking"))?;
    let run = Run { name: "demo", script: "ticking", workspace: &workspace, variables: Vec::new() };
    cli.detach(daemon, &run)?;
    let patience = Duration::from_secs(150);
    wait_for("the agent's ticks", patience, || Ok((workspace.size(TICKS) > 100).then_some(())))
        .with_context(|| format!("agentctl logs demo:\n{}", daemon.ask(&["logs", "demo"]).unwrap_or_default()))?;
    let inspected = daemon.inspect("demo")?;
    story.note("the agent waits for its model; two processes in sessions of their own write a file every 50 ms");

    daemon.ask(&["stop", "demo"])?;
    let (at_stop, family) = (workspace.size(TICKS), processes::of_uid(inspected.uid)?);
    pause(Duration::from_secs(1))?;
    let moving: Vec<_> =
        processes::of_uid(inspected.uid)?.into_iter().filter(|process| !process.is_stopped()).collect();
    let expectation = format!("agentctl stop demo: all {} processes stopped, no byte written in 1 s", family.len());
    let written = workspace.size(TICKS) - at_stop;
    story.check(
        &expectation,
        refuse(family.len() < 4 || !moving.is_empty() || written > 0, || {
            format!("{} processes, not stopped: {}; {written} bytes written", family.len(), processes::list(&moving))
        }),
    );

    daemon.ask(&["cont", "demo"])?;
    let grown =
        wait_for("the file to grow", Duration::from_secs(10), || Ok((workspace.size(TICKS) > at_stop).then_some(())));
    story.check("agentctl cont demo: they write again", grown.map_err(|error| format!("{error:#}")));

    daemon.ask(&["kill", "-s", "KILL", "demo"])?;
    let (at_kill, left) = (workspace.size(TICKS), nothing_left(daemon, "demo"));
    pause(Duration::from_millis(500))?;
    let written = workspace.size(TICKS) - at_kill;
    let seen = left.and_then(|()| refuse(written > 0, || format!("{written} bytes written after the kill")));
    story.check("agentctl kill -s KILL demo: no process, no cgroup, not a byte more", seen);
    Ok(())
}

/// What one run remembers, the next one knows; what it was told to remember is not rewritten.
pub(crate) fn memory(story: &mut Story, daemon: &Daemon) -> Result<()> {
    story.chapter("4. What an agent remembers");
    let run = |story: &mut Story, lines: &[&str]| {
        story.note("$ agentctl run --name notes --policy base -- sh -c '");
        lines.iter().for_each(|line| story.note(&format!("    {line}")));
        story.note("  '");
        daemon.ask(&["run", "--name", "notes", "--policy", "base", "--", "sh", "-c", &lines.join("\n")])
    };
    let learn = [
        r#"echo "build it with make" > /mem/semantic/notes"#,
        r#"echo "run 1: read the README" >> /mem/episodic/log"#,
        "exec 2>&1",
        "echo forged > /mem/episodic/log",
        "rm /mem/episodic/log",
        r#"echo "mode: audit" > /policy/rules.yaml; true"#,
    ];
    story.note("run 1 writes notes, appends to its log, then tries to rewrite the log and its policy:");
    let refusals = run(story, &learn)?;
    for line in refusals.lines() {
        story.note(&format!("  {line}"));
    }
    story.check("all three attempts were refused", refuse(refusals.lines().count() != 3, || refusals.clone()));
    daemon.ask(&["rm", "notes"])?;
    let known = run(story, &["cat /mem/semantic/notes /mem/episodic/log"])?;
    let expected = "build it with make\nrun 1: read the README\n";
    story.check("run 2, of the same name, knows what run 1 wrote", refuse(known != expected, || known.clone()));
    let log = daemon.ask(&["memory", "cat", "notes", "/mem/episodic/log"])?;
    story.check(
        "agentctl memory cat notes /mem/episodic/log: the operator reads it, no agent running",
        refuse(log != "run 1: read the README\n", || log.clone()),
    );
    Ok(())
}

/// What the daemon can tell afterwards.
pub(crate) fn records(story: &mut Story, daemon: &Daemon) -> Result<()> {
    story.chapter("7. The record");
    for arguments in [&["denials", "hostile"][..], &["denials", "demo"], &["events"]] {
        story.note(&format!("$ agentctl {}", arguments.join(" ")));
        for line in daemon.ask(arguments)?.lines() {
            story.note(&format!("  {line}"));
        }
    }
    Ok(())
}

/// The daemon is ended, and the host looked over.
pub(crate) fn end(story: &mut Story, daemon: Daemon, place: &Path) -> Result<()> {
    let ended = daemon.end();
    drop(daemon);
    let processes = processes::naming(place)?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("failed to list the mounts")?;
    let mounts: Vec<_> = mounts.lines().filter(|line| line.contains(&place.display().to_string())).collect();
    let seen = ended.and_then(|()| {
        refuse(!processes.is_empty() || !mounts.is_empty(), || {
            format!("processes: {}; mounts: {}", processes::list(&processes), mounts.join(", "))
        })
    });
    story.check("agentosd ended on SIGTERM; no process and no mount of it is left", seen);
    Ok(())
}

/// Whether no process and no cgroup of the ended agent `name` is left on the host.
pub(crate) fn nothing_left(daemon: &Daemon, name: &str) -> Result<(), String> {
    let left = || -> Result<Result<(), String>> {
        let inspected = daemon.inspect(name)?;
        let alive = processes::of_uid(inspected.uid)?;
        let cgroups: Vec<_> = inspected.cgroups.iter().filter(|path| path.exists()).collect();
        Ok(refuse(!alive.is_empty() || !cgroups.is_empty(), || {
            format!("processes: {}; cgroups: {cgroups:?}", processes::list(&alive))
        }))
    };
    left().unwrap_or_else(|error| Err(format!("{error:#}")))
}

pub(crate) fn refuse(broken: bool, instead: impl FnOnce() -> String) -> Result<(), String> {
    if broken { Err(instead()) } else { Ok(()) }
}

fn last_line(output: &str) -> String {
    output.lines().last().unwrap_or("no output").to_owned()
}
