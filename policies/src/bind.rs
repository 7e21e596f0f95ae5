//! From an [`Effective`] policy to one agent's: variables replaced by this agent's paths, the rules ordered for mounting.
//!
//! Rules that name `${workspace}` are dropped when the agent has none, and listed in [`Bound::dropped`]. Two rules that
//! become the same path are settled as in a merge: the later one stands. A workspace that would swallow or reopen what
//! another rule names is refused, because then the operator's directory, not the policy, would decide.

use std::path::{Path, PathBuf};

use crate::absence::WithoutDaemon;
use crate::digest::Digest;
use crate::effective::{Effective, FsRule, Limits};
use crate::env::{EnvName, EnvValue};
use crate::exec_rules::ExecRules;
use crate::memory::Memory;
use crate::names::Hostname;
use crate::origin::Origin;
use crate::paths::{at_or_beneath, beneath};
use crate::schema::Access;
use crate::size::Size;
use crate::template::{Variable, Variables};
use crate::values::Values;

/// A policy with one agent's paths in it: plain data from which a launch is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The policy's name.
    pub policy: String,
    /// The digest of the policy's sources.
    pub digest: Digest,
    /// Beneath which paths programs may be executed. A path that does not exist grants nothing.
    pub exec: Vec<PathBuf>,
    /// The file system, parents before what lies beneath them, no path twice.
    pub filesystem: Vec<BoundFs>,
    /// The environment in the policy's order.
    pub env: Vec<BoundEnv>,
    /// The host name that the agent sees, if the policy sets one.
    pub hostname: Option<Hostname>,
    /// How much the agent may use.
    pub limits: Limits,
    /// What it can remember.
    pub memory: Memory,
    /// What becomes of it while no daemon is there.
    pub without_daemon: WithoutDaemon,
    /// What the policy says and nothing enforces yet, each with its place.
    pub not_enforced: Vec<String>,
    /// The rules that fell away because there is no workspace, each with its place.
    pub dropped: Vec<String>,
}

/// One rule about the file system, with an absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundFs {
    /// Absolute, without `.` and `..`.
    pub path: PathBuf,
    /// What the agent may do there.
    pub access: Access,
    /// What the rules above grant here as well. Landlock adds up along a path and takes nothing back, so where this is
    /// more than `access`, only the mount (read-only) or the placeholder's own permissions can refuse.
    pub inherited: Access,
    /// The outermost directory above that agents can write on the host. They may have left symbolic links from there on,
    /// so what lies beneath is to be opened relative to it and without following any (RESOLVE_NO_SYMLINKS).
    pub anchor: Option<PathBuf>,
    /// What stands there.
    pub content: Content,
    /// Whether any program at or beneath the path may be executed; if not, the mount is noexec.
    pub exec: bool,
    /// Whether the path may be missing on the host; if not, the start fails without it.
    pub optional: bool,
    /// Whether only a directory may be written; anything else at the path is to be shown read-only.
    pub directory: bool,
    /// Where the rule stands.
    pub origin: Origin,
}

/// What stands at a path in the agent's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The host's file or directory at the same path.
    Host,
    /// A private tmpfs of at most this size, initially empty.
    Tmpfs(Size),
    /// An empty file in place of something that is not granted.
    PlaceholderFile,
    /// An empty directory in place of something that is not granted; other placeholders may lie in it.
    PlaceholderDirectory,
}

/// One variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundEnv {
    /// The variable.
    pub name: EnvName,
    /// Its value, or `None` to pass on the caller's if it is set.
    pub value: Option<String>,
}

/// Why a policy does not fit an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// A variable has a value that no rule can be made with.
    #[error("the {variable} `{value}` {reason}")]
    Variable {
        /// Which one.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The workspace contains or equals a path of another rule.
    #[error(
        "the workspace `{workspace}` contains `{path}`, about which the policy has a rule ({origin}); choose a narrower directory"
    )]
    WorkspaceTooWide {
        /// The workspace.
        workspace: String,
        /// The path of the rule.
        path: String,
        /// The rule.
        origin: Origin,
    },
    /// The workspace lies in what the policy does not grant.
    #[error("the workspace `{workspace}` lies in `{path}`, which the policy does not grant ({origin})")]
    WorkspaceNotGranted {
        /// The workspace.
        workspace: String,
        /// The path of the rule.
        path: String,
        /// The rule.
        origin: Origin,
    },
    /// `process.exec` names a path that no filesystem rule makes visible.
    #[error("`{path}` is in `process.exec` ({origin}), but no filesystem rule grants it; add one")]
    ExecNotGranted {
        /// The path.
        path: String,
        /// The exec rule.
        origin: Origin,
    },
    /// Execution is allowed, then refused, then allowed again along one path, within one mount.
    #[error(
        "`{outer}` has `exec: false` ({origin}), but `process.exec` names `{inner}` in it; give `{inner}` a filesystem rule of its own"
    )]
    ExecWithinNoExec {
        /// The path with `exec: false`.
        outer: String,
        /// The path in it.
        inner: String,
        /// The rule with `exec: false`.
        origin: Origin,
    },
}

impl Effective {
    /// Gives the policy this agent's paths.
    ///
    /// # Errors
    /// A variable's value fits no rule, the workspace collides with a rule, or an exec rule names what is not granted.
    pub fn bind(&self, variables: &Variables) -> Result<Bound, BindError> {
        let values = Values::of(variables)?;
        let mut dropped = Vec::new();
        let mut filesystem = Vec::new();
        for rule in &self.filesystem {
            match values.path(rule.path.template()) {
                Some(path) => filesystem.push((rule, path)),
                None => dropped.push(format!("`{}` ({})", rule.path, rule.origin)),
            }
        }
        check_workspace(&filesystem, values.workspace.as_deref())?;
        let mut exec = ExecRules::default();
        for rule in &self.exec {
            match values.path(rule.value.template()) {
                Some(path) => exec.allow(path, &rule.origin),
                None => dropped.push(format!("exec `{}` ({})", rule.value, rule.origin)),
            }
        }
        let mut env = Vec::new();
        for rule in &self.env {
            let value = match &rule.value {
                EnvValue::FromCaller => None,
                EnvValue::Fixed(template) => match values.expand(template) {
                    Some(value) => Some(value),
                    None => {
                        dropped.push(format!("env `{}` ({})", rule.name, rule.origin));
                        continue;
                    }
                },
            };
            env.push(BoundEnv { name: rule.name.clone(), value });
        }
        let filesystem = exec.apply(in_mount_order(filesystem))?;
        Ok(Bound {
            policy: self.name.clone(),
            digest: self.digest,
            exec: exec.into_paths(),
            filesystem,
            env,
            hostname: self.hostname.as_ref().map(|rule| rule.value.clone()),
            limits: self.limits.clone(),
            memory: self.memory.clone(),
            without_daemon: self.without_daemon.clone(),
            not_enforced: self.not_enforced.clone(),
            dropped,
        })
    }
}

impl Bound {
    /// Takes writing away from everything of the host at and beneath `directory`, for a workspace that is only lent for
    /// reading.
    #[must_use]
    pub fn read_only_beneath(mut self, directory: &Path) -> Self {
        for rule in &mut self.filesystem {
            if rule.content == Content::Host && at_or_beneath(&rule.path, directory) {
                rule.access = rule.access.min(Access::Read);
                rule.inherited = rule.inherited.min(Access::Read);
            }
        }
        self
    }

    /// The rule that decides about `path`: the one with the longest path at or above it.
    #[must_use]
    pub fn rule_for(&self, path: &Path) -> Option<&BoundFs> {
        // Parents come first, so the last match is the longest.
        self.filesystem.iter().rev().find(|rule| at_or_beneath(path, &rule.path))
    }
}

fn check_workspace(rules: &[(&FsRule, PathBuf)], workspace: Option<&str>) -> Result<(), BindError> {
    let Some(workspace) = workspace else { return Ok(()) };
    for (rule, path) in rules.iter().filter(|(rule, _)| !rule.path.uses(Variable::Workspace)) {
        let (shown, origin) = (path.display().to_string(), rule.origin.clone());
        if at_or_beneath(path, Path::new(workspace)) {
            return Err(BindError::WorkspaceTooWide { workspace: workspace.to_owned(), path: shown, origin });
        }
        if rule.access == Access::None && at_or_beneath(Path::new(workspace), path) {
            return Err(BindError::WorkspaceNotGranted { workspace: workspace.to_owned(), path: shown, origin });
        }
    }
    Ok(())
}

/// The rules sorted so that a mount never hides an earlier one; of two at the same path the later stands.
fn in_mount_order(rules: Vec<(&FsRule, PathBuf)>) -> Vec<(&FsRule, BoundFs)> {
    let mut ordered: Vec<(&FsRule, PathBuf)> = Vec::new();
    for (rule, path) in rules {
        ordered.retain(|(_, known)| known.as_os_str() != path.as_os_str());
        ordered.push((rule, path));
    }
    // Paths compare by components, so a parent sorts before everything beneath it.
    ordered.sort_by(|(_, a), (_, b)| a.cmp(b));
    let grants: Vec<(PathBuf, Access, bool)> = ordered
        .iter()
        .map(|(rule, path)| (path.clone(), rule.access, rule.access == Access::Write && rule.tmpfs.is_none()))
        .collect();
    let bound = |(position, (rule, path)): (usize, (_, PathBuf))| {
        let rule: &FsRule = rule;
        let above = || grants.iter().filter(|(above, ..)| beneath(&path, above));
        let holds_others = grants.get(position + 1).is_some_and(|(next, ..)| at_or_beneath(next, &path));
        let content = match (rule.access, rule.tmpfs) {
            (Access::None, _) if holds_others => Content::PlaceholderDirectory,
            (Access::None, _) => Content::PlaceholderFile,
            (_, Some(size)) => Content::Tmpfs(size),
            (_, None) => Content::Host,
        };
        let bound = BoundFs {
            access: rule.access,
            inherited: above().map(|(_, access, _)| *access).max().unwrap_or(Access::None),
            anchor: above().find(|(.., writable)| *writable).map(|(path, ..)| path.clone()),
            content,
            exec: false,
            optional: rule.optional,
            directory: rule.directory,
            origin: rule.origin.clone(),
            path,
        };
        (rule, bound)
    };
    ordered.into_iter().enumerate().map(bound).collect()
}
