//! Commands of the operator's as actions: JSON in, JSON out, under a profile of their own.

use super::asked::Asked;
use super::governed::{Doing, Governed};
use super::job::Job;
use super::programs;
use crate::caller::Caller;
use crate::daemon::Daemon;
use crate::gate::Refusal;
use crate::plan::{self, Identities};
use policies::RegisteredAction;
use protocol::action::RefusalReason;
use protocol::control::{PolicyChoice, Run, Stdio, Workspace};
use serde_json::{Value, json};
use std::time::Duration;

/// Characters of what a command says when it fails.
const MOST_SAID: usize = 2000;
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command; what it writes is the data, as JSON when it is JSON.
pub(super) async fn perform(
    daemon: &Daemon,
    governed: &Governed,
    (asked, most): (&Asked, u64),
) -> Result<Value, Refusal> {
    let known = governed.policy.mediation.actions.iter().find(|known| known.name == asked.action);
    let Some(known) = known else {
        return Err(Refusal::new(RefusalReason::UnknownAction, "there is no such action"));
    };
    // Another user than the agent: what the command has is not the agent's.
    let uid = daemon.uids.take().ok_or_else(|| Refusal::new(RefusalReason::Busy, "no user is left for the command"))?;
    let launch = launch(daemon, governed, (known, uid.get()))?;
    let stdin =
        json!({"action": known.name.as_str(), "params": asked.params, "agent": governed.agent.name}).to_string();
    let job = Job::start(daemon, governed, (launch.plan, &launch.cgroup, Doing::Program)).await?;
    let ended = tokio::time::timeout(PATIENCE, job.collect(stdin.as_bytes(), most)).await;
    let late = |_| Refusal::new(RefusalReason::Timeout, format!("it took longer than {} s", PATIENCE.as_secs()));
    let ended = ended.map_err(late)??;
    drop(uid);
    if ended.status != 0 {
        let said = String::from_utf8_lossy(&ended.errors);
        let message = format!("the command failed: {}", super::cut(said.trim(), MOST_SAID));
        return Err(Refusal::new(RefusalReason::HostRefused, message));
    }
    match serde_json::from_slice::<Value>(&ended.output) {
        Ok(data) if !ended.cut => Ok(data),
        _ => programs::outcome(&ended),
    }
}

fn launch(
    daemon: &Daemon,
    governed: &Governed,
    (known, uid): (&RegisteredAction, u32),
) -> Result<plan::Launch, Refusal> {
    let failed = |error: &dyn std::error::Error| Refusal::new(RefusalReason::Internal, error.to_string());
    let root = Caller { uid: 0, gid: 0, groups: Vec::new(), pid: 0 };
    let policy = match &known.profile {
        Some(name) => {
            let choice = PolicyChoice::Profile(name.to_string());
            daemon.policies.choose(Some(choice), &root).map_err(|error| failed(&error))?
        }
        None => std::sync::Arc::clone(&governed.policy),
    };
    let workspace =
        governed.workspace.as_ref().map(|path| Workspace { path: path.display().to_string(), read_only: false });
    let run = Run {
        name: None,
        policy: None,
        workspace,
        command: known.command.clone(),
        env: Vec::new(),
        caller_env: Vec::new(),
        stdio: Stdio { attach: true, ..Stdio::default() },
        remove: false,
        timeout_ms: None,
    };
    let who = Identities { agent: uid, init: daemon.uids.init() };
    let launch = plan::launch(&run, &governed.agent.name, &policy, (&governed.caller, who, &daemon.own));
    let mut launch = launch.map_err(|error| failed(&error))?;
    // What the agent remembers is the agent's own.
    launch.plan.parts.clear();
    Ok(launch)
}
