//! What a daemon that was killed has left: its agents are ended, and their records say so.
//!
//! A stage ends its agent when the daemon is gone, so that this is mostly done; but a group is looked at, not trusted.

use crate::agent;
use crate::daemon::Daemon;
use crate::journal;
use crate::retention::Ended;
use crate::store::Record;
use anyhow::Context as _;
use protocol::agent::{Exit, State};
use protocol::event::{Event, What};
use sandbox::cgroup::{Cgroup, CgroupError, Hierarchies};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Kills and removes every group in our directories; nothing of this daemon is in them yet.
pub(super) fn clear(hierarchies: &Hierarchies) {
    let names = match hierarchies.existing() {
        Ok(names) => names,
        Err(error) => return journal::error(format_args!("{}", journal::sentence(&error))),
    };
    for name in names {
        journal::warning(format_args!("the group {name} was left by an agentosd that was killed; it is ended"));
        if let Err(error) = end(&hierarchies.group(&name)) {
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

/// Lists the agents of before; those that were alive are ended now. Removes what is more than is kept.
pub(super) fn take_back(daemon: &Arc<Daemon>) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for record in daemon.store.load()? {
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
    daemon.keep(kept);
    Ok(())
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

/// Removes the sockets of agents that an earlier daemon had.
pub(super) fn clear_sockets(directory: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot clear {}", directory.display()))
        }
        _ => Ok(()),
    }
}
