//! Where programs may be executed, once all paths are known.
//!
//! Two layers carry the answer: Landlock grants execution beneath the listed paths and can take nothing back beneath
//! them; a noexec mount takes it back and can grant nothing. So a mount is noexec unless something in it may run.

use std::path::{Path, PathBuf};

use crate::bind::{BindError, BoundFs};
use crate::effective::FsRule;
use crate::origin::Origin;
use crate::paths::{at_or_beneath, beneath};
use crate::schema::Access;

/// The paths beneath which execution is allowed.
#[derive(Default)]
pub(crate) struct ExecRules {
    allowed: Vec<(PathBuf, Origin)>,
}

impl ExecRules {
    /// Allows execution beneath `path`; a path that is listed already keeps its later place.
    pub(crate) fn allow(&mut self, path: PathBuf, origin: &Origin) {
        self.allowed.retain(|(known, _)| *known != path);
        self.allowed.push((path, origin.clone()));
    }

    /// Takes the filesystem rules' own `exec` into account and decides for each mount whether it is noexec.
    pub(crate) fn apply(&mut self, mut rules: Vec<(&FsRule, BoundFs)>) -> Result<Vec<BoundFs>, BindError> {
        for (rule, bound) in &rules {
            match rule.exec {
                Some(true) => self.allow(bound.path.clone(), &bound.origin),
                Some(false) => self.allowed.retain(|(path, _)| *path != bound.path),
                None => {}
            }
        }
        self.check_granted(&rules)?;
        for position in 0..rules.len() {
            let exec = self.mount_executes(&rules, position)?;
            rules[position].1.exec = exec;
        }
        Ok(rules.into_iter().map(|(_, bound)| bound).collect())
    }

    /// The listed paths, for Landlock.
    pub(crate) fn into_paths(self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.allowed.into_iter().map(|(path, _)| path).collect();
        paths.sort();
        paths
    }

    fn check_granted(&self, rules: &[(&FsRule, BoundFs)]) -> Result<(), BindError> {
        for (path, origin) in &self.allowed {
            let decides = longest(rules, path).is_some_and(|(_, rule)| rule.access != Access::None);
            let within = rules.iter().any(|(_, rule)| rule.access != Access::None && at_or_beneath(&rule.path, path));
            if !decides && !within {
                return Err(BindError::ExecNotGranted { path: path.display().to_string(), origin: origin.clone() });
            }
        }
        Ok(())
    }

    fn mount_executes(&self, rules: &[(&FsRule, BoundFs)], position: usize) -> Result<bool, BindError> {
        let (_, mount) = &rules[position];
        if mount.access == Access::None {
            return Ok(false);
        }
        let inner = self.allowed.iter().find(|(path, _)| {
            beneath(path, &mount.path) && longest(rules, path).is_some_and(|(_, rule)| rule.path == mount.path)
        });
        // Of the allowed paths and the rules with `exec: false` at or above the mount, the longest decides.
        let allowed = self.allowed.iter().filter(|(path, _)| at_or_beneath(&mount.path, path));
        let allowed = allowed.map(|(path, _)| path.components().count()).max();
        let refused =
            rules.iter().filter(|(rule, bound)| rule.exec == Some(false) && at_or_beneath(&mount.path, &bound.path));
        let refused = refused.max_by_key(|(_, bound)| bound.path.components().count());
        let depth = refused.map(|(_, bound)| bound.path.components().count());
        match (allowed, depth, inner) {
            (Some(allowed), Some(refused), None) => Ok(allowed > refused),
            (Some(_), None, _) => Ok(true),
            (None, _, inner) => Ok(inner.is_some()),
            (Some(allowed), Some(refused), Some(_)) if allowed > refused => Ok(true),
            (Some(_), Some(_), Some((path, _))) => Err(BindError::ExecWithinNoExec {
                outer: mount.path.display().to_string(),
                inner: path.display().to_string(),
                origin: mount.origin.clone(),
            }),
        }
    }
}

fn longest<'a>(rules: &'a [(&FsRule, BoundFs)], path: &Path) -> Option<&'a (&'a FsRule, BoundFs)> {
    // The rules are in mount order: the last match is the longest.
    rules.iter().rev().find(|(_, rule)| at_or_beneath(path, &rule.path))
}
