//! What a spare's root holds before its plan is known, and whether a launch may build on it.
//!
//! ```text
//!   spare:   template ─► open as root ─► place ─► remember which file each thing was
//!   mounts of the host changed: an empty root, and again (the daemon watches them: [`crate::mounts`])
//!   launch:  plan ─► open as the caller ─► all of the template found again, the same files?
//!              yes: place the rest           no: an empty root, then everything
//! ```
//! So a launch shows what its caller can open at that moment, template or not; only the mounting is done beforehand.

use super::root::Placed;
use super::sources::{Inode, Showing, Source, made};
use crate::plan::Rule;
use std::path::{Path, PathBuf};

/// A template in its place.
#[derive(Debug)]
pub(super) struct Furnished {
    things: Vec<Thing>,
}

/// One thing of it.
#[derive(Debug, PartialEq, Eq)]
enum Thing {
    Found { path: PathBuf, executable: bool, inode: Inode },
    Link { path: PathBuf, target: PathBuf },
    Tmpfs { path: PathBuf },
    Made(Placed),
}

impl Thing {
    /// A workspace is an agent's own and in no template.
    fn of(source: &Source<'_>) -> Option<Self> {
        Some(match source {
            Source::Found { path, executable, inode, .. } => {
                Self::Found { path: path.clone(), executable: *executable, inode: *inode }
            }
            Source::Link { path, target } => Self::Link { path: path.clone(), target: target.clone() },
            // Whose it is and how large is said at the launch.
            Source::Made(Placed::Tmpfs(tmpfs)) => Self::Tmpfs { path: tmpfs.path.clone() },
            Source::Made(placed) => Self::Made(placed.clone()),
            Source::Workspace { .. } => return None,
        })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Found { path, .. } | Self::Link { path, .. } | Self::Tmpfs { path } => path,
            Self::Made(placed) => placed.path(),
        }
    }
}

/// Of a template's sources, those that lie in nothing of the host's. Within a shown directory the host may make, replace
/// or move things at any time, and a mount there goes with the name that it was made on.
pub(super) fn lasting(sources: Vec<Source<'_>>) -> Vec<Source<'_>> {
    let of_host = |source: &Source<'_>| match source {
        Source::Found { path, .. } | Source::Link { path, .. } => Some(path.clone()),
        Source::Workspace { .. } | Source::Made(_) => None,
    };
    let above: Vec<PathBuf> = sources.iter().filter_map(of_host).collect();
    let beneath = |path: &Path| above.iter().any(|above| path != above && path.starts_with(above));
    sources.into_iter().filter(|source| !beneath(source.path())).collect()
}

/// What is left to do for a launch.
pub(super) enum Rest<'a> {
    /// The template is a part of the view, and these are placed too.
    Some(Vec<Source<'a>>),
    /// It is not: all of these, in an empty root.
    Everything(Vec<Source<'a>>),
}

impl Furnished {
    /// Remembers what is about to be placed.
    pub(super) fn of(sources: &[Source<'_>]) -> Self {
        Self { things: sources.iter().filter_map(Thing::of).collect() }
    }

    /// Of `rules`, those for what is remembered: what lies beneath it on the host may be replaced at any time, and a rule
    /// stays with the file that it was made for.
    pub(super) fn rules(&self, rules: &[Rule]) -> Vec<Rule> {
        let remembered = |rule: &&Rule| {
            self.things.iter().any(|thing| match thing {
                Thing::Found { path, .. } | Thing::Tmpfs { path } => *path == rule.path,
                Thing::Link { .. } | Thing::Made(_) => false,
            })
        };
        rules.iter().filter(remembered).cloned().collect()
    }

    /// What of a view can be placed before anybody has looked whether the template is a part of it: what an empty root
    /// would have to forget again if not. Its tmpfs as the agent needs them, and files of our own beside it.
    pub(super) fn early(&self, showing: Showing<'_>) -> Vec<Placed> {
        let is_ours = |path: &Path| self.things.contains(&Thing::Tmpfs { path: path.to_owned() });
        let is_beside = |path: &Path| self.things.iter().all(|thing| !path.starts_with(thing.path()));
        let things = showing.view.iter().filter_map(|mount| made(mount, showing));
        let place = |placed: Placed| match placed {
            Placed::Tmpfs(tmpfs) if is_ours(&tmpfs.path) => Some(Placed::Adjusted(tmpfs)),
            Placed::File { path, contents } if is_beside(&path) => Some(Placed::File { path, contents }),
            _ => None,
        };
        things.filter_map(place).collect()
    }

    /// What the template and what was placed `early` leave to do of a view.
    pub(super) fn rest<'a>(self, sources: Vec<Source<'a>>, early: &[Placed]) -> Rest<'a> {
        let wanted: Vec<_> = sources.iter().map(Thing::of).collect();
        let is_early = |thing: &Thing| matches!(thing, Thing::Made(placed) if early.contains(placed));
        let is_kept =
            |thing: &Option<Thing>| thing.as_ref().is_some_and(|thing| self.things.contains(thing) || is_early(thing));
        let kept: Vec<bool> = wanted.iter().map(is_kept).collect();
        let whole = self.things.iter().all(|thing| wanted.iter().flatten().any(|wanted| wanted == thing));
        // Placed later, it would hide what is there and what a rule was made for.
        let hides = |source: &Source<'_>| self.things.iter().any(|thing| thing.path().starts_with(source.path()));
        let hidden = sources.iter().zip(&kept).any(|(source, kept)| !kept && hides(source));
        if !whole || hidden {
            return Rest::Everything(sources);
        }
        let left = sources.into_iter().zip(kept).filter(|(_, kept)| !kept).map(|(source, _)| source);
        Rest::Some(left.collect())
    }
}
