//! Plans for actions: each shows what its one action is about, and nothing else. Pure.

use super::{HOME, Own};
use crate::caller::Caller;
use sandbox::cgroup::CgroupLimits;
use sandbox::plan::{Calls, Identity, Mount, Part, Place, Plan, Process, Rlimits, Rule, WithoutDaemon};
use std::path::{Path, PathBuf};

/// The program's name.
pub(crate) const PROGRAM: &str = "agentos-executor";
/// The directory in the run directory that has it and nothing else.
pub(crate) const DIRECTORY: &str = "executor";
/// Where that is inside.
const INSIDE: &str = "/tools";

/// What the executor itself may use.
pub(crate) const LIMITS: CgroupLimits = CgroupLimits { memory: 512 << 20, pids: 16, cpu_milli: None };

/// Who is who, and on whose behalf.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whom<'a> {
    /// The agent's user, who the executor is too.
    pub(crate) agent: u32,
    /// PID 1 inside.
    pub(crate) init: u32,
    /// Whoever started the agent.
    pub(crate) caller: &'a Caller,
    /// The daemon's directories.
    pub(crate) own: &'a Own,
}

/// Whether something may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is looked at.
    Read,
    /// It is changed.
    Write,
}

/// For an action on a file at or beneath `root`. Files of whoever started the agent are the executor's own there, and what it
/// writes is theirs; for root's agents those of the owner of `root`, as with a workspace.
pub(crate) fn on_host(whom: Whom<'_>, root: &Path, how: Use) -> Plan {
    let owner = (!whom.caller.is_root()).then_some(Identity { uid: whom.caller.uid, gid: whom.caller.gid });
    let mount = Mount::Workspace {
        path: root.to_owned(),
        read_only: how == Use::Read,
        directory_only: false,
        executable: false,
        owner,
        optional: false,
        sealed: Vec::new(),
    };
    let rule = Rule { path: root.to_owned(), read: true, write: how == Use::Write, execute: false };
    plan(whom, (vec![mount], vec![rule]), Vec::new())
}

/// For looking at what is beneath `root` for one of root's agents, outside of its workspace: as anybody may.
pub(crate) fn on_host_as_anybody(whom: Whom<'_>, root: &Path) -> Plan {
    let mount = Mount::Bind { path: root.to_owned(), executable: false, optional: false };
    let rule = Rule { path: root.to_owned(), read: true, write: false, execute: false };
    plan(whom, (vec![mount], vec![rule]), Vec::new())
}

/// For an action on what the agent remembers: exactly what the agent itself has there.
pub(crate) fn on_memory(whom: Whom<'_>, parts: &[Part]) -> Plan {
    let remembered = |part: &&Part| matches!(part.place, Place::Memory | Place::Semantic | Place::State);
    plan(whom, (Vec::new(), Vec::new()), parts.iter().filter(remembered).cloned().collect())
}

/// For a server that listens in this directory.
pub(crate) fn on_socket(whom: Whom<'_>, directory: &Path) -> Plan {
    let mount = Mount::Bind { path: directory.to_owned(), executable: false, optional: false };
    plan(whom, (vec![mount], Vec::new()), Vec::new())
}

/// For a program: the agent's own confinement, with the programs that actions may start besides. The executor takes the right
/// to execute anything else from itself before it becomes the program.
pub(crate) fn on_program(whom: Whom<'_>, agents: &Plan, programs: &[PathBuf]) -> Plan {
    let mut plan = agents.clone();
    let seen = |path: &Path, plan: &Plan| {
        let within = plan.view.iter().filter(|mount| path.starts_with(mount.path()));
        within.max_by_key(|mount| mount.path().components().count()).is_some_and(is_executable)
    };
    for path in programs {
        if !seen(path, &plan) {
            plan.view.push(Mount::Bind { path: path.clone(), executable: true, optional: true });
        }
    }
    let executable: Vec<PathBuf> =
        plan.view.iter().filter(|mount| is_executable(mount)).map(|mount| mount.path().to_owned()).collect();
    for path in executable {
        match plan.rules.iter_mut().find(|rule| rule.path == path) {
            Some(rule) => rule.execute = true,
            None => plan.rules.push(Rule { path, read: true, write: false, execute: true }),
        }
    }
    let remembered = |part: &Part| matches!(part.place, Place::Memory | Place::Semantic | Place::State);
    plan.parts.retain(remembered);
    plan.parts.push(program(whom.own));
    plan.process = process();
    plan.output_limit = None;
    plan.calls = Calls::Helper;
    plan
}

fn is_executable(mount: &Mount) -> bool {
    match mount {
        Mount::Bind { executable, .. } | Mount::Workspace { executable, .. } | Mount::Tmpfs { executable, .. } => {
            *executable
        }
        Mount::File { .. } | Mount::Decoy { .. } | Mount::Passage { .. } | Mount::Symlink { .. } => false,
    }
}

fn plan(whom: Whom<'_>, (view, rules): (Vec<Mount>, Vec<Rule>), mut parts: Vec<Part>) -> Plan {
    parts.push(program(whom.own));
    let identity = |id| Identity { uid: id, gid: id };
    let Caller { uid, gid, groups, .. } = whom.caller;
    Plan {
        hostname: "executor".to_owned(),
        agent: identity(whom.agent),
        init: identity(whom.init),
        caller: sandbox::plan::Caller { uid: *uid, gid: *gid, groups: groups.clone() },
        view,
        parts,
        rules,
        rlimits: Rlimits { files: 64, file_size: None },
        process: process(),
        output_limit: None,
        calls: Calls::Helper,
        // Whoever asked for the action hears of no result.
        without_daemon: WithoutDaemon::End,
    }
}

/// The program alone, as the daemon found it at its start.
fn program(own: &Own) -> Part {
    Part { source: own.run.join(DIRECTORY), place: Place::Tools }
}

fn process() -> Process {
    Process {
        argv: vec![format!("{INSIDE}/{PROGRAM}")],
        env: Vec::new(),
        cwd: "/".into(),
        terminal: None,
        attached: true,
        keep_stdin: false,
    }
}

/// What a program gets that an action starts, besides the variables of the agent's policy.
pub(crate) fn usual_environment() -> [String; 2] {
    ["PATH=/usr/local/bin:/usr/bin:/bin".to_owned(), format!("HOME={HOME}")]
}
