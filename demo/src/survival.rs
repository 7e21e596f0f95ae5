//! The daemon is killed; the agent is not, and stays what it was.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use crate::{
    chapters::{nothing_left, refuse},
    daemon::Daemon,
    interrupt::{pause, wait_for},
    story::Story,
};

/// Says each time whether it could read what it must not, and counts.
const SCRIPT: &str = r#"
count=0
while :; do
    count=$((count + 1))
    if cat /etc/shadow > /dev/null 2>&1; then echo "$count LOOSE"; else echo "$count confined"; fi
    sleep 0.05
done"#;

pub(crate) fn outlives(story: &mut Story, daemon: &Daemon) -> Result<()> {
    story.chapter("6. The daemon dies, the agent does not");
    story.note("an agent counts, and with each number tries to read /etc/shadow; then: kill -9 agentosd");
    daemon.remember("lasting");
    daemon.ask(&["run", "--detach", "--name", "lasting", "--policy", "base", "--", "sh", "-c", SCRIPT])?;
    wait_for("the agent's first lines", Duration::from_secs(10), || Ok((lines(daemon)?.len() > 10).then_some(())))?;
    let pid = daemon.inspect("lasting")?.pid.context("agentctl inspect named no process")?;
    daemon.crash()?;

    let heard = daemon.agentctl(&["ps"]).output().context("failed to run agentctl")?;
    let sentence = String::from_utf8_lossy(&heard.stderr).trim().to_owned();
    story.note("$ agentctl ps");
    sentence.lines().for_each(|line| story.note(&format!("  {line}")));
    story.check("agentctl says so", refuse(heard.status.success() || !sentence.contains("not running"), || sentence));
    pause(Duration::from_secs(2))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let layers = ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"];
    let missing: Vec<_> = layers.into_iter().filter(|layer| !status.contains(layer)).collect();
    story.check(
        "two seconds later its process runs, confined as before",
        refuse(!missing.is_empty(), || missing.join(", ")),
    );

    let took = daemon.start_again()?;
    let now = daemon.inspect("lasting")?.pid;
    let expectation = format!("the next agentosd took it back, {} ms after its start", took.as_millis());
    story.check(&expectation, refuse(now != Some(pid), || format!("process {now:?}, and it was {pid}")));
    let said = lines(daemon)?;
    let whole = said.iter().enumerate().all(|(index, line)| *line == format!("{} confined", index + 1));
    let expectation = format!("agentctl logs lasting: all of its {} lines, and not once was it loose", said.len());
    story.check(&expectation, refuse(!whole || said.len() < 30, || said.join("; ")));
    daemon.ask(&["kill", "-s", "KILL", "lasting"])?;
    story.check("it is killed as ever, and nothing of it is left", nothing_left(daemon, "lasting"));
    Ok(())
}

/// What it has said so far.
fn lines(daemon: &Daemon) -> Result<Vec<String>> {
    Ok(daemon.ask(&["logs", "lasting"])?.lines().map(str::to_owned).collect())
}
