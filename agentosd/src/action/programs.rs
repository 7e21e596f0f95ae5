//! Programs that actions start: what they get, and what came of them. Pure.

use super::job::Ended;
use crate::gate::Refusal;
use crate::plan::executor::usual_environment;
use policies::Table;
use protocol::executor::{NOT_STARTED, Report};
use sandbox::plan::{Mount, Plan};
use serde_json::{Value, json};
use std::path::Path;

/// The agent's environment, with the least that a program needs where the policy says nothing.
pub(super) fn environment(agents: &[String]) -> Vec<String> {
    let mut env = agents.to_vec();
    for usual in usual_environment() {
        let name = usual.split('=').next().unwrap_or_default().to_owned() + "=";
        if !env.iter().any(|pair| pair.starts_with(&name)) {
            env.push(usual);
        }
    }
    env
}

/// Where a program's name is looked up.
pub(super) fn search(env: &[String]) -> Vec<String> {
    let path = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or_default();
    path.split(':').filter(|directory| directory.starts_with('/')).map(str::to_owned).collect()
}

/// What a program may start besides itself.
pub(super) fn further(table: &Table) -> Vec<String> {
    table.executables().into_iter().filter_map(|path| path.into_os_string().into_string().ok()).collect()
}

/// Whether the agent can write there.
pub(super) fn may_write(agents: &Plan, path: &Path) -> bool {
    let within = agents.view.iter().filter(|mount| path.starts_with(mount.path()));
    match within.max_by_key(|mount| mount.path().components().count()) {
        Some(Mount::Workspace { read_only, sealed, .. }) => {
            !read_only && !sealed.iter().any(|sealed| path.starts_with(sealed))
        }
        Some(Mount::Tmpfs { .. }) => true,
        Some(Mount::Bind { .. } | Mount::File { .. } | Mount::Decoy { .. } | Mount::Passage { .. }) => false,
        Some(Mount::Symlink { .. }) => false,
        // What is mounted by itself: the agent's memory.
        None => true,
    }
}

/// What a program's end says.
pub(super) fn outcome(ended: &Ended) -> Result<Value, Refusal> {
    if ended.status >> 8 == i32::from(NOT_STARTED)
        && let Ok(Report::Refused { reason, message }) = serde_json::from_slice(&ended.output)
    {
        return Err(Refusal::new(reason, message));
    }
    let (code, signal) = match ended.status & 0x7f {
        0 => (Some((ended.status >> 8) & 0xff), None),
        signal => (None, Some(signal)),
    };
    Ok(json!({
        "exit_code": code,
        "signal": signal,
        "stdout": text(&ended.output),
        "stderr": text(&ended.errors),
        "truncated": ended.cut,
    }))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
