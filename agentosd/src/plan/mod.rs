//! From a request and a policy to a plan. Pure: what is written here is what the stage does, and nothing else decides.

mod absence;
mod environment;
pub(crate) mod executor;
mod files;
mod layers;
mod memory;
mod view;
mod workspace;

use crate::caller::Caller;
use crate::memory::Sharing;
use crate::violation::Answers;
use policies::{Bound, Effective, KernelLayer, OnVfsLoss, Table, Variables};
use protocol::agent::Limits;
use protocol::control::{Run, Stdio};
use protocol::error::ControlError;
use protocol::ids::AgentName;
use protocol::vfs::Quotas;
use sandbox::cgroup::CgroupLimits;
use sandbox::plan::{Calls, Identity, Mount, Plan, Process, Rlimits, Rule, Template, Window, WithoutDaemon};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use environment::extend as extend_environment;
pub(crate) use memory::quotas;

/// The agent's home directory.
pub(crate) const HOME: &str = "/home/agent";

/// Who is who on the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identities {
    /// The agent.
    pub(crate) agent: u32,
    /// PID 1 inside.
    pub(crate) init: u32,
}

/// What of the daemon and its host matters to a launch: the directories that it keeps out of every workspace, the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// Its state directory.
    pub(crate) state: PathBuf,
    /// Its run directory.
    pub(crate) run: PathBuf,
    /// Layers of the confinement that this kernel lacks.
    pub(crate) lacking: Vec<KernelLayer>,
}

/// A launch, decided.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// For the stage.
    pub(crate) plan: Plan,
    /// For the control group.
    pub(crate) cgroup: CgroupLimits,
    /// Layers that it goes without, because the kernel lacks them and the policy can.
    pub(crate) not_enforced: Vec<String>,
    /// For people.
    pub(crate) limits: Limits,
    /// What is visible and how: `read /usr`.
    pub(crate) view: Vec<String>,
    /// What stands as long as it lives.
    pub(crate) standing: Standing,
}

/// What the daemon itself must know of an agent as long as it lives.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// For the server of its files.
    pub(crate) quotas: Quotas,
    /// What it remembers together with others.
    pub(crate) sharing: Option<Sharing>,
    /// What happens when that server is lost.
    pub(crate) on_vfs_loss: OnVfsLoss,
    /// What of it is watched.
    pub(crate) watching: Watching,
}

/// What an agent's task watches, and how it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watching {
    /// The answers.
    pub(crate) answers: Answers,
    /// The policy's limit on the time from start to end.
    pub(crate) wall: Option<Duration>,
    /// The caller's, at which it is killed in any case.
    pub(crate) timeout: Option<Duration>,
}

/// Decides a launch.
pub(crate) fn launch(
    request: &Run,
    name: &AgentName,
    policy: &Effective,
    (caller, who, own): (&Caller, Identities, &Own),
) -> Result<Launch, ControlError> {
    let workspace = request.workspace.as_ref().map(|workspace| workspace::check(workspace, own)).transpose()?;
    let variables = Variables { workspace: workspace.clone(), home: HOME.into(), name: name.to_string() };
    let bound = policy.bind(&variables).map_err(|error| ControlError::BadPolicy { message: error.to_string() })?;
    refuse_unenforced(&bound)?;
    let not_enforced = layers::not_enforced(policy, &own.lacking)?;
    let identity = |id| Identity { uid: id, gid: id };
    let owner = (!caller.is_root()).then_some(Identity { uid: caller.uid, gid: caller.gid });
    let seen = view::of(&bound, request.workspace.as_ref().zip(workspace.as_deref()), owner)?;
    let limits = limits(&bound.limits, request.timeout_ms);
    let cwd =
        workspace.unwrap_or_else(|| if bound.rule_for(HOME.as_ref()).is_some() { HOME.into() } else { "/".into() });
    let env = environment::of(&bound, request, name)?;
    let plan = Plan {
        hostname: bound.hostname.as_ref().map_or_else(|| name.to_string(), ToString::to_string),
        agent: identity(who.agent),
        init: identity(who.init),
        caller: sandbox::plan::Caller { uid: caller.uid, gid: caller.gid, groups: caller.groups.clone() },
        view: [files::of(name, &bound, who), files::others().to_vec(), seen.mounts].concat(),
        parts: memory::parts(name, &bound.memory, own),
        rules: [seen.rules, files::rules()].concat(),
        rlimits: Rlimits { files: limits.files, file_size: bound.limits.file_size.as_ref().map(|l| l.value.bytes()) },
        process: process(&request.command, env, cwd, request.stdio)?,
        output_limit: limits.output_bytes,
        calls: Calls::Agent,
        without_daemon: WithoutDaemon::Stay(absence::of(&bound)?),
    };
    let cgroup = group_limits(&limits);
    let standing = standing_of(policy, &bound, (&variables, request.timeout_ms))?;
    Ok(Launch { plan, cgroup, not_enforced, limits, view: seen.words, standing })
}

/// What stands of an agent that was launched under this policy.
pub(crate) fn standing(
    policy: &Effective,
    variables: &Variables,
    timeout_ms: Option<u64>,
) -> Result<Standing, ControlError> {
    let bound = policy.bind(variables).map_err(|error| ControlError::BadPolicy { message: error.to_string() })?;
    standing_of(policy, &bound, (variables, timeout_ms))
}

fn standing_of(
    policy: &Effective,
    bound: &Bound,
    (variables, timeout_ms): (&Variables, Option<u64>),
) -> Result<Standing, ControlError> {
    let (quotas, sharing) = memory::divided(&bound.memory);
    let table = Table::compile(policy, variables, &[]);
    let table = table.map_err(|error| ControlError::BadPolicy { message: error.to_string() })?;
    let watching = Watching {
        answers: Answers::of(&table),
        wall: bound.limits.wall.as_ref().map(|wall| wall.value.duration()),
        timeout: timeout_ms.map(Duration::from_millis),
    };
    Ok(Standing { quotas, sharing, on_vfs_loss: bound.memory.on_vfs_loss(), watching })
}

/// A rule that nothing carries out stops the start: an operator would rely on it.
fn refuse_unenforced(bound: &Bound) -> Result<(), ControlError> {
    if bound.not_enforced.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the policy {} has rules that this version cannot enforce, so the agent is not started: {}; remove them, or use a policy without them",
        bound.policy,
        bound.not_enforced.join("; ")
    );
    Err(ControlError::BadPolicy { message })
}

/// What a policy shows to every agent, whoever it is and wherever it works; nothing when that cannot be said.
pub(crate) fn template(policy: &Effective) -> Template {
    // A name of nobody's: what it appears in is in no other plan, and so in no agent's way.
    let nobody = Variables { workspace: None, home: HOME.into(), name: "nobody".to_owned() };
    let Ok(seen) = policy.bind(&nobody).map_err(drop).and_then(|bound| view::of(&bound, None, None).map_err(drop))
    else {
        return Template::default();
    };
    let common = |mount: &Mount| matches!(mount, Mount::Bind { .. } | Mount::Tmpfs { .. } | Mount::Decoy { .. });
    let (view, others): (Vec<Mount>, Vec<Mount>) = seen.mounts.into_iter().partition(common);
    let within = |mounts: &[Mount], rule: &Rule| mounts.iter().any(|mount| rule.path.starts_with(mount.path()));
    let rules = seen.rules.into_iter().filter(|rule| within(&view, rule) && !within(&others, rule)).collect();
    Template { view, rules }
}

/// What a group gets that holds an agent of this policy.
pub(crate) fn usual_limits(policy: &Effective) -> CgroupLimits {
    group_limits(&limits(&policy.limits, None))
}

fn group_limits(limits: &Limits) -> CgroupLimits {
    CgroupLimits {
        memory: limits.memory_bytes,
        // PID 1 inside is ours and is not counted against the agent.
        pids: limits.pids.saturating_add(1),
        cpu_milli: limits.cpu_milli,
    }
}

fn limits(limits: &policies::Limits, timeout_ms: Option<u64>) -> Limits {
    let wall = limits.wall.as_ref().map(|wall| wall.value.seconds().saturating_mul(1000));
    Limits {
        memory_bytes: limits.memory.value.bytes(),
        pids: limits.pids.value.into(),
        cpu_milli: limits.cpu.as_ref().map(|cpu| cpu.value.thousandths().into()),
        wall_ms: [wall, timeout_ms].into_iter().flatten().min(),
        output_bytes: limits.output.as_ref().map(|output| output.value.bytes()),
        files: limits.files.value.into(),
        cpu_time_ms: limits.cpu_time.as_ref().map(|time| time.value.seconds().saturating_mul(1000)),
    }
}

/// A process to start, checked for what `execve(2)` cannot carry.
pub(crate) fn process(
    command: &[String],
    env: Vec<String>,
    cwd: PathBuf,
    stdio: Stdio,
) -> Result<Process, ControlError> {
    let wrong = |expected: &str| Err(bad_parameter("command", expected));
    if command.first().is_none_or(String::is_empty) {
        return wrong("expected a program and its arguments, at least the program");
    }
    if command.iter().any(|argument| argument.contains('\0')) {
        return wrong("an argument contains a NUL byte, which no program can be given");
    }
    Ok(Process {
        argv: command.to_vec(),
        env,
        cwd,
        terminal: stdio.terminal.map(window),
        attached: stdio.attach,
        keep_stdin: stdio.keep_stdin,
    })
}

/// The same size in the sandbox's words.
pub(crate) fn window(window: protocol::control::Window) -> Window {
    Window { rows: window.rows, cols: window.cols }
}

fn bad_parameter(parameter: &str, expected: &str) -> ControlError {
    ControlError::BadParameter { method: "Run".into(), parameter: parameter.into(), expected: expected.into() }
}

#[cfg(test)]
mod tests;
