//! What an earlier daemon has left: agents that run are taken back; what else lives in a group of ours is ended, and
//! records of agents that do not run any more say so.

use super::returning::{All, Returning};
use crate::agent;
use crate::daemon::Daemon;
use crate::journal;
use crate::retention::Ended;
use crate::store::Record;
use anyhow::Context as _;
use protocol::agent::{Exit, State};
use protocol::event::{Event, What};
use protocol::ids::AgentId;
use sandbox::cgroup::{Cgroup, CgroupError, Hierarchies};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Kills and removes every group in our directories that is not kept; nothing of this daemon is in them yet.
pub(super) fn clear(hierarchies: &Hierarchies, kept: &BTreeSet<String>) {
    let names = match hierarchies.existing() {
        Ok(names) => names,
        Err(error) => return journal::error(format_args!("{}", journal::sentence(&error))),
    };
    for name in names.into_iter().filter(|name| !kept.contains(name)) {
        let group = hierarchies.group(&name);
        // That of a spare stage is empty: it has ended with its daemon.
        if group.populated().unwrap_or(true) {
            journal::warning(format_args!(
                "what lives in the group {name} was started by an earlier agentosd and cannot be taken back; it is ended"
            ));
        }
        if let Err(error) = end(&group) {
            journal::error(format_args!("cannot end the group {name}: {}", journal::sentence(&error)));
        }
    }
}

fn end(group: &Cgroup) -> Result<(), CgroupError> {
    // Processes are put there first and taken from there last.
    if group.unified().exists() {
        group.kill()?;
    }
    // Its stage may be about to remove nothing but itself; a group of version 1 is busy until its dead are reaped.
    let mut tries = 0;
    loop {
        match group.remove() {
            Err(_) if tries < 50 => std::thread::sleep(Duration::from_millis(20)),
            other => return other,
        }
        tries += 1;
    }
}

/// Lists the agents of before. Those that run are taken back; those that should and do not have ended. Removes what is
/// more than is kept. `halted` is why the daemon before has stopped them.
pub(super) async fn take_back(daemon: &Arc<Daemon>, mut running: All, halted: Option<String>) -> anyhow::Result<()> {
    let (mut kept, mut returning) = (Vec::new(), JoinSet::new());
    let mut take = |found, mut record: Record| {
        // It counts where the agent is stopped.
        record.agent.review = record.agent.review.or_else(|| halted.clone());
        returning.spawn(take_back_running(Arc::clone(daemon), found, record));
    };
    for record in daemon.store.load()? {
        if let Ok(record) = &record
            && let Some(found) = running.take(record.agent.id)
        {
            take(found, record.clone());
            continue;
        }
        match record {
            Ok(record) if record.remove => daemon.store.remove(record.agent.id)?,
            Ok(record) => {
                let record = ended(daemon, record)?;
                let ended = Ended::of(&record.agent, daemon.store.size(record.agent.id)?);
                let name = record.agent.name.clone();
                match daemon.take_back(record) {
                    Ok(()) => kept.extend(ended),
                    Err(error) => journal::warning(format_args!("the record of {name} is not listed: {error}")),
                }
            }
            Err(error) => journal::warning(format_args!("a record is not listed: {}", journal::sentence(&error))),
        }
    }
    // What cannot be read was lost or damaged; the agent is there, and its stage knows what it is.
    for found in running.rest() {
        let record = found.record();
        journal::warning(format_args!("the record of {}, which runs, is lost and made anew", record.agent.name));
        daemon.store.recreate(&record)?;
        take(found, record);
    }
    while let Some(taken) = returning.join_next().await {
        taken.context("cannot take an agent back")?;
    }
    daemon.keep(kept);
    Ok(())
}

async fn take_back_running(daemon: Arc<Daemon>, returning: Returning, record: Record) {
    let name = record.agent.name.clone();
    if let Err(error) = returning.take_back(&daemon, record).await {
        journal::error(format_args!("the agent {name} cannot be taken back and is ended: {error}"));
    }
}

fn ended(daemon: &Daemon, mut record: Record) -> anyhow::Result<Record> {
    if record.agent.state == State::Exited {
        return Ok(record);
    }
    let exit: Exit = agent::daemon_gone();
    let agent = &mut record.agent;
    (agent.state, agent.pid) = (State::Exited, None);
    (agent.ended_us, agent.exit) = (Some(agent::now()), Some(exit.clone()));
    let (agent, owner) = (record.agent.clone(), record.agent.owner);
    let what = What::Exited { exit };
    daemon.event(owner, Event { seq: 0, time_us: agent::now(), agent: agent.name, id: Some(agent.id), by: None, what });
    daemon.store.save(&record)?;
    Ok(record)
}

/// Removes the sockets of agents that do not run any more.
pub(super) fn clear_sockets(directory: &Path, kept: &BTreeSet<AgentId>) -> anyhow::Result<()> {
    let cleared = || {
        let kept: BTreeSet<String> = kept.iter().map(ToString::to_string).collect();
        for entry in directory.read_dir()? {
            let entry = entry?;
            if entry.file_name().to_str().is_none_or(|name| !kept.contains(name)) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    };
    match cleared() {
        Err(error) if std::io::Error::kind(&error) != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot clear {}", directory.display()))
        }
        _ => Ok(()),
    }
}
