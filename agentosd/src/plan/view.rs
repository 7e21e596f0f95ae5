//! What is visible, and the floor under it, from a policy with an agent's paths.

use super::bad_parameter;
use policies::{Access, Bound, BoundFs, Content};
use protocol::control::Workspace;
use protocol::error::ControlError;
use sandbox::plan::{Identity, Mount, Rule};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The view, for the stage and for people.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) mounts: Vec<Mount>,
    pub(super) rules: Vec<Rule>,
    pub(super) words: Vec<String>,
}

/// The mounts that a policy asks for, parents before children. `owner` is who the agent is shown as on disk in
/// directories that it may write; only root's agents take the directory's own.
pub(super) fn of(
    bound: &Bound,
    workspace: Option<(&Workspace, &Path)>,
    owner: Option<Identity>,
) -> Result<View, ControlError> {
    let read_only = workspace.is_some_and(|(request, _)| request.read_only);
    if let Some((_, path)) = workspace
        && bound.filesystem.iter().all(|rule| rule.path != path)
    {
        let expected = format!(
            "the policy {} grants no workspace; use one that has a rule for ${{workspace}}, such as coding-agent",
            bound.policy
        );
        return Err(bad_parameter("workspace", &expected));
    }
    let mut view = View::default();
    let mut rights: BTreeMap<PathBuf, Rule> = BTreeMap::new();
    for rule in &bound.filesystem {
        let in_workspace = workspace.is_some_and(|(_, path)| rule.path.starts_with(path));
        let lowered = read_only && in_workspace && rule.access == Access::Write && rule.content == Content::Host;
        let access = if lowered { Access::Read } else { rule.access };
        let shared = writable_above(bound, rule);
        match shared {
            Some(above) if access == Access::Read && rule.content == Content::Host => {
                refuse_narrower_exec(above, rule)?;
            }
            _ => view.mounts.push(mount(bound, rule, (access, owner, lowered))),
        }
        grant(&mut rights, &rule.path, access);
        let unless = if rule.directory && access == Access::Write { " (read if it is not a directory)" } else { "" };
        view.words.push(format!("{} {}{unless}", access.word(), rule.path.display()));
    }
    for path in &bound.exec {
        entry(&mut rights, path).execute = true;
    }
    view.rules = rights.into_values().collect();
    Ok(view)
}

fn mount(bound: &Bound, rule: &BoundFs, (access, owner, lowered): (Access, Option<Identity>, bool)) -> Mount {
    let path = rule.path.clone();
    match (rule.content, access) {
        (Content::PlaceholderFile, _) => Mount::Decoy { path, directory: false },
        (Content::PlaceholderDirectory, _) => Mount::Decoy { path, directory: true },
        (Content::Tmpfs(size), _) => {
            // Scratch directories are shared by all the agent's processes, which are one user: sticky as everywhere.
            Mount::Tmpfs { path, size: size.bytes(), executable: rule.exec, mode: 0o1777 }
        }
        (Content::Host, Access::Read | Access::None) if !lowered => {
            Mount::Bind { path, executable: rule.exec, optional: rule.optional }
        }
        (Content::Host, _) => Mount::Workspace {
            sealed: bound.filesystem.iter().filter(|inner| seals(bound, rule, inner)).map(|r| r.path.clone()).collect(),
            path,
            read_only: lowered,
            executable: rule.exec,
            optional: rule.optional,
            directory_only: rule.directory,
            owner,
        },
    }
}

/// Whether `inner` is a read-only part of the writable directory `outer`.
fn seals(bound: &Bound, outer: &BoundFs, inner: &BoundFs) -> bool {
    inner.access == Access::Read
        && inner.content == Content::Host
        && writable_above(bound, inner).is_some_and(|above| above.path == outer.path)
}

/// The rule that `rule` lies directly in, when that is a host directory that may be written.
fn writable_above<'a>(bound: &'a Bound, rule: &BoundFs) -> Option<&'a BoundFs> {
    let above = bound.rule_for(rule.path.parent()?)?;
    (above.access == Access::Write && above.content == Content::Host).then_some(above)
}

/// A sealed path is part of its directory's mount, so it cannot be less executable.
fn refuse_narrower_exec(outer: &BoundFs, inner: &BoundFs) -> Result<(), ControlError> {
    if inner.exec == outer.exec {
        return Ok(());
    }
    let message = format!(
        "{} ({}) is read-only within {} and cannot have an exec of its own there; remove it from the rule",
        inner.path.display(),
        inner.origin,
        outer.path.display()
    );
    Err(ControlError::BadPolicy { message })
}

fn grant(rights: &mut BTreeMap<PathBuf, Rule>, path: &Path, access: Access) {
    match access {
        Access::None => {}
        Access::Read => entry(rights, path).read = true,
        Access::Write => {
            let rule = entry(rights, path);
            (rule.read, rule.write) = (true, true);
        }
    }
}

fn entry<'a>(rights: &'a mut BTreeMap<PathBuf, Rule>, path: &Path) -> &'a mut Rule {
    rights.entry(path.to_owned()).or_insert_with(|| Rule {
        path: path.to_owned(),
        read: false,
        write: false,
        execute: false,
    })
}
