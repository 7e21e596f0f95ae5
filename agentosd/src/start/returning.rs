//! Agents that an earlier daemon has started and that still run: claimed, looked at, understood, and taken back.
//!
//! ```text
//!   stages' sockets ── claim ──► Claimed{stage, pidfds, memo} ── proven? ──► understood ──► its task
//!                                     └─ no memo, not confined, not its policy: its group is killed
//! ```

use super::ending::IntegrityFailure;
use super::proof;
use crate::agent::Taking;
use crate::daemon::Daemon;
use crate::gate;
use crate::governing::Rules;
use crate::journal;
use crate::memory::{self, Running, Seat, Wanted};
use crate::plan::{self, HOME, Standing};
use crate::policy::Restored;
use crate::stage::{Claimed, Claims, Stage, claim_all};
use crate::store::Record;
use anyhow::Context as _;
use policies::Variables;
use protocol::error::ControlError;
use protocol::ids::AgentId;
use sandbox::cgroup::Cancel;
use sandbox::message::Kept;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// An agent that runs, with what it was launched by.
#[derive(Debug)]
pub(super) struct Returning {
    claimed: Claimed,
    rules: Rules,
    standing: Standing,
}

/// All of them, by run.
#[derive(Debug, Default)]
pub(super) struct All(BTreeMap<AgentId, Returning>);

/// Claims what runs. What cannot be proven ours and confined is killed. An agent whose policy is not the one that it was
/// launched with is an integrity failure: then all are stopped.
pub(super) async fn find(claims: &Claims) -> anyhow::Result<All> {
    let mut all = All::default();
    let (mut unproven, mut changed) = (Vec::new(), None);
    let claimed = claim_all(claims).await.context("cannot look for agents that run")?;
    let known = Arc::new((proof::Host::look().context("cannot look at our own namespaces")?, Restored::default()));
    // On every processor: a thousand take a second of one.
    let understood = claimed.into_iter().map(|claimed| {
        let name = claimed.memo.record.agent.name.clone();
        let known = Arc::clone(&known);
        (name, tokio::spawn(async move { understand(claimed, (&known.0, &known.1)) }))
    });
    for (name, understood) in understood.collect::<Vec<_>>() {
        match understood.await? {
            Ok(returning) => {
                all.0.insert(returning.claimed.memo.record.agent.id, returning);
            }
            Err((claimed, Mistrust::Unproven(why))) => {
                journal::error(format_args!("the agent {name} cannot be taken back and is ended: {why}"));
                unproven.push(claimed);
            }
            Err((claimed, Mistrust::Changed(why))) => {
                halt(claimed.stage);
                changed.get_or_insert(format!("the agent {name}: {why}"));
            }
        }
    }
    if let Some(why) = changed {
        all.halt();
        return Err(IntegrityFailure(why).into());
    }
    for claimed in unproven {
        claimed.stage.bury().await;
    }
    Ok(all)
}

/// Stops the agent and lets go of it.
fn halt(stage: Stage) {
    let stopped = tokio::task::block_in_place(|| stage.cgroup.stop(stage.init_pid, &Cancel::default()));
    if let Err(error) = stopped {
        journal::error(format_args!("cannot stop an agent: {}", journal::sentence(&error)));
    }
    stage.leave();
}

/// Why an agent is not taken back.
enum Mistrust {
    Unproven(String),
    Changed(String),
}

fn understand(
    claimed: Claimed,
    (host, restored): (&proof::Host, &Restored),
) -> Result<Returning, (Box<Claimed>, Mistrust)> {
    let understood = || {
        proof::confined(&claimed, host).map_err(Mistrust::Unproven)?;
        let memo = &claimed.memo;
        let rules = Rules::restore(memo, restored).map_err(|error| Mistrust::Changed(error.to_string()))?;
        let digest = rules.digest();
        if digest != memo.record.agent.policy_digest {
            let why = format!("its policy is not the one that it was launched with (SHA-256 {digest})");
            return Err(Mistrust::Changed(why));
        }
        let agent = &memo.record.agent;
        let workspace = agent.workspace.as_ref().map(PathBuf::from);
        let variables = Variables { workspace, home: HOME.into(), name: agent.name.to_string() };
        let standing = plan::standing(&rules.policy, &variables, memo.timeout_ms);
        Ok((rules, standing.map_err(|error| Mistrust::Changed(error.to_string()))?))
    };
    match understood() {
        Ok((rules, standing)) => Ok(Returning { claimed, rules, standing }),
        Err(why) => Err((Box::new(claimed), why)),
    }
}

impl All {
    /// Stops them all and lets go of them: the daemon will not serve them.
    pub(super) fn halt(self) {
        self.0.into_values().for_each(|returning| halt(returning.claimed.stage));
    }

    /// The groups that hold them.
    pub(super) fn groups(&self) -> BTreeSet<String> {
        let paths = self.0.values().map(|returning| returning.claimed.stage.cgroup.unified());
        paths.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }

    /// The first uid of their block, and the lock on it.
    pub(super) fn uids(&mut self) -> Option<(u32, OwnedFd)> {
        let locks = self.0.values_mut().map(|returning| {
            let claimed = &mut returning.claimed;
            claimed.kept.remove(&Kept::Uids).map(|lock| (claimed.memo.plan.init.uid, lock))
        });
        locks.flatten().next()
    }

    /// Whose files are served already.
    pub(super) fn files(&self) -> Vec<Running> {
        let of = |returning: &Returning| {
            let agent = &returning.claimed.memo.record.agent;
            Running { name: agent.name.clone(), id: agent.id, sharing: returning.standing.sharing.clone() }
        };
        self.0.values().map(of).collect()
    }

    /// Which they are.
    pub(super) fn ids(&self) -> BTreeSet<AgentId> {
        self.0.keys().copied().collect()
    }

    /// The one whose record this is.
    pub(super) fn take(&mut self, id: AgentId) -> Option<Returning> {
        self.0.remove(&id)
    }

    /// Those without a record.
    pub(super) fn rest(self) -> impl Iterator<Item = Returning> {
        self.0.into_values()
    }
}

impl Returning {
    /// The record as it was at the launch.
    pub(super) fn record(&self) -> Record {
        self.claimed.memo.record.clone()
    }

    /// Has it again.
    pub(super) async fn take_back(self, daemon: &Arc<Daemon>, record: Record) -> Result<(), ControlError> {
        let Self { mut claimed, rules, mut standing } = self;
        // The daemon serves now: what cannot be taken back is ended, and not left to nobody.
        claimed.stage.take_on();
        let memo = &claimed.memo;
        let agent = &record.agent;
        let internal = |message: &str| ControlError::Internal { message: message.to_owned() };
        let place = daemon.places.take(agent.owner).map_err(|_| internal("every place is taken; raise max_agents"))?;
        let uid = daemon.uids.taken(agent.uid).ok_or_else(|| internal("its uid is another agent's"))?;
        let workspace = agent.workspace.as_ref().map(PathBuf::from);
        let plan = memo.plan.clone();
        let governed = rules.govern((gate::subject(agent), workspace), &memo.caller, (plan, memo.limits))?;
        standing.watching.answers = crate::violation::Answers::of(&governed.table);
        let wanted = Wanted {
            name: agent.name.clone(),
            id: agent.id,
            caller: memo.caller.clone(),
            uid: agent.uid,
            quotas: standing.quotas,
            sharing: standing.sharing.clone(),
            published: memory::of_policy(&rules.policy, rules.own_file.as_ref().map(|file| &*file.text)),
        };
        let working = claimed.kept.remove(&Kept::Working);
        let seat = Seat::retake(&daemon.memory, wanted, working).await?;
        let taking = Taking { claimed, standing, uid, place, seat: Some(Arc::new(seat)) };
        daemon.take_back_running((record, Some(governed)), taking).await
    }
}
