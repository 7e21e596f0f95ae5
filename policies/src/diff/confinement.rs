//! What the kernel enforces: paths, execution, environment, memory.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::bind::{Bound, BoundFs, Content};
use crate::diff::{Diff, Direction, limits, towards, written};
use crate::effective::{Effective, EnvRule};
use crate::env::EnvValue;
use crate::kernel_layer::KernelLayer;
use crate::memory::Memory;
use crate::origin::{Origin, Rule};
use crate::paths::at_or_beneath;
use crate::schema::Access;

pub(crate) fn compare(old: (&Effective, &Bound), new: (&Effective, &Bound), found: &mut Diff) {
    files(old.1, new.1, found);
    execution(old.1, new.1, found);
    environment(&old.0.env, &new.0.env, found);
    limits::compare(&old.0.limits, &new.0.limits, found);
    memory(&old.0.memory, &new.0.memory, found);
    let (before, after) = (&old.0.without_daemon, &new.0.without_daemon);
    if before.to_string() != after.to_string() {
        let origins =
            [after.orphan.as_ref().map(|rule| &rule.origin), after.requests.as_ref().map(|rule| &rule.origin)];
        let words = format!("without a daemon: {before} → {after}");
        found.add(Direction::Alters, words, origins.into_iter().flatten().next());
    }
    optional_layers(&old.0.optional_layers, &new.0.optional_layers, found);
    if let (Some(before), Some(after)) = (old.0.hostname.as_ref(), new.0.hostname.as_ref())
        && before.value != after.value
    {
        let words = format!("the host name that the agent sees: {} → {}", before.value, after.value);
        found.add(Direction::Alters, words, Some(&after.origin));
    } else if old.0.hostname.is_some() != new.0.hostname.is_some() {
        let rule = old.0.hostname.as_ref().or(new.0.hostname.as_ref());
        found.add(Direction::Alters, "the host name that the agent sees".to_owned(), rule.map(|rule| &rule.origin));
    }
}

/// Doing without a layer is more on a kernel that lacks it, and no difference on others.
fn optional_layers(old: &[Rule<KernelLayer>], new: &[Rule<KernelLayer>], found: &mut Diff) {
    for (direction, these, others) in [(Direction::Grants, new, old), (Direction::Takes, old, new)] {
        for rule in these.iter().filter(|rule| others.iter().all(|other| other.value != rule.value)) {
            found.add(direction, format!("starting on a kernel without {}", rule.value), Some(&rule.origin));
        }
    }
}

/// Every path that a rule of either names, by what it comes to there.
fn files(old: &Bound, new: &Bound, found: &mut Diff) {
    let paths: BTreeSet<&Path> = old.filesystem.iter().chain(&new.filesystem).map(|rule| rule.path.as_path()).collect();
    for path in paths {
        let (before, after) = (old.rule_for(path), new.rule_for(path));
        let shown = written(&path.display().to_string());
        let own =
            |bound: &'_ Bound| bound.filesystem.iter().find(|rule| rule.path == path).map(|rule| rule.origin.clone());
        let origin = own(new).or_else(|| own(old));
        let (granted, was) = (granted(after), granted(before));
        if granted != was {
            let direction = if granted > was { Direction::Grants } else { Direction::Takes };
            found.add(direction, format!("{} {shown} and what is beneath it", change(was, granted)), origin.as_ref());
        } else if before.map(|rule| rule.access) != after.map(|rule| rule.access) {
            let seen = |rule: Option<&BoundFs>| if rule.is_some() { "refused by name" } else { "not there" };
            let words = format!("{shown}, which is not granted: {} → {}", seen(before), seen(after));
            found.add(Direction::Alters, words, origin.as_ref());
        } else if let (Some(before), Some(after)) = (before, after)
            && before.content != after.content
        {
            content(&shown, before, after, found);
        }
    }
}

fn granted(rule: Option<&BoundFs>) -> Access {
    rule.map_or(Access::None, |rule| rule.access)
}

fn change(was: Access, now: Access) -> &'static str {
    match (was, now) {
        (Access::None, Access::Read) | (Access::Read, Access::None) => "reading",
        (Access::Read, Access::Write) | (Access::Write, Access::Read) => "writing",
        _ => "reading and writing",
    }
}

fn content(path: &str, before: &BoundFs, after: &BoundFs, found: &mut Diff) {
    let words = |content: Content| match content {
        Content::Host => "the host's".to_owned(),
        Content::Tmpfs(size) => format!("a private tmpfs of {size}"),
        Content::PlaceholderFile | Content::PlaceholderDirectory => "a placeholder".to_owned(),
    };
    let direction = match (before.content, after.content) {
        (Content::Tmpfs(before), Content::Tmpfs(after)) => towards(before, after),
        (Content::Tmpfs(_), Content::Host) => Direction::Grants,
        (Content::Host, Content::Tmpfs(_)) => Direction::Takes,
        // A placeholder is a file or a directory by what lies beneath it; neither grants anything.
        _ => return,
    };
    let words = format!("{path}: {} → {}", words(before.content), words(after.content));
    found.add(direction, words, Some(&after.origin));
}

fn execution(old: &Bound, new: &Bound, found: &mut Diff) {
    let executes = |bound: &Bound, path: &Path| {
        let listed = bound.exec.iter().any(|top| at_or_beneath(path, top));
        listed && bound.rule_for(path).is_some_and(|rule| rule.exec && rule.access != Access::None)
    };
    let rules = old.filesystem.iter().chain(&new.filesystem).map(|rule| rule.path.clone());
    let paths: BTreeSet<PathBuf> = old.exec.iter().chain(&new.exec).cloned().chain(rules).collect();
    for path in paths {
        let (before, after) = (executes(old, &path), executes(new, &path));
        if before != after {
            let direction = if after { Direction::Grants } else { Direction::Takes };
            let origin = if after { new } else { old }.rule_for(&path).map(|rule| rule.origin.clone());
            let shown = written(&path.display().to_string());
            found.add(direction, format!("executing programs in {shown}"), origin.as_ref());
        }
    }
}

fn environment(old: &[EnvRule], new: &[EnvRule], found: &mut Diff) {
    let find = |rules: &'_ [EnvRule], name: &EnvRule| rules.iter().find(|rule| rule.name == name.name).cloned();
    for rule in new {
        let (name, origin) = (&rule.name, Some(&rule.origin));
        let before = find(old, rule).map(|rule| rule.value);
        match (before, &rule.value) {
            (Some(before), after) if before == *after => {}
            (_, EnvValue::FromCaller) => found.add(Direction::Grants, format!("the caller's variable {name}"), origin),
            (Some(EnvValue::FromCaller), EnvValue::Fixed(value)) => {
                found.add(Direction::Takes, format!("the caller's variable {name}, which is now {value}"), origin);
            }
            (_, EnvValue::Fixed(value)) => {
                found.add(Direction::Alters, format!("the variable {name} is {value}"), origin)
            }
        }
    }
    for rule in old.iter().filter(|rule| find(new, rule).is_none()) {
        let caller = rule.value == EnvValue::FromCaller;
        let direction = if caller { Direction::Takes } else { Direction::Alters };
        let words = if caller { "the caller's variable" } else { "no more variable" };
        found.add(direction, format!("{words} {}", rule.name), Some(&rule.origin));
    }
}

fn memory(old: &Memory, new: &Memory, found: &mut Diff) {
    part("/mem/working", (old.working.as_ref(), new.working.as_ref()), found);
    part("/mem/episodic", (old.episodic.as_ref(), new.episodic.as_ref()), found);
    part("/mem/semantic", (old.semantic.as_ref(), new.semantic.as_ref()), found);
    part("/mem/procedural", (old.procedural.as_ref(), new.procedural.as_ref()), found);
    part("/state", (old.state.as_ref(), new.state.as_ref()), found);
    for part in ["working", "semantic"] {
        let (before, after) = (old.inodes_of(part), new.inodes_of(part));
        if before != after {
            let origin = new.inodes.as_ref().or(old.inodes.as_ref()).map(|rule| &rule.origin);
            found.add(towards(before, after), format!("files in /mem/{part}: {before} → {after}"), origin);
        }
    }
    let store = |memory: &Memory| memory.semantic_shared.as_ref().map(|rule| rule.value.clone());
    if store(old) != store(new) {
        if let Some(rule) = &old.semantic_shared {
            found.add(
                Direction::Takes,
                format!("the shared store {} as /mem/semantic", rule.value),
                Some(&rule.origin),
            );
        }
        if let Some(rule) = &new.semantic_shared {
            found.add(
                Direction::Grants,
                format!("the shared store {} as /mem/semantic", rule.value),
                Some(&rule.origin),
            );
        }
    }
    if old.on_vfs_loss() != new.on_vfs_loss() {
        let words = format!("on_vfs_loss: {} → {}", old.on_vfs_loss(), new.on_vfs_loss());
        found.add(Direction::Alters, words, new.on_vfs_loss.as_ref().map(|rule| &rule.origin));
    }
}

/// A part of the memory; none is less than any.
fn part<T: Ord + fmt::Display>(path: &str, rules: (Option<&Rule<T>>, Option<&Rule<T>>), found: &mut Diff) {
    let origin: Option<&Origin> = rules.1.or(rules.0).map(|rule| &rule.origin);
    let words = |rule: Option<&Rule<T>>| rule.map_or_else(|| "not there".to_owned(), |rule| rule.value.to_string());
    let direction = match (rules.0.map(|rule| &rule.value), rules.1.map(|rule| &rule.value)) {
        (before, after) if before == after => return,
        (before, after) => towards(before, after),
    };
    found.add(direction, format!("{path}: {} → {}", words(rules.0), words(rules.1)), origin);
}
