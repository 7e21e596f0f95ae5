//! How far what is allowed reaches on the host: the directories beneath which an action may look for its path, and the
//! programs that a program may start in its turn.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use crate::decide::compiled::CompiledRule;
use crate::decide::glob::{Component, Glob};
use crate::decide::layer::{Layer, Part};
use crate::decide::request::AccessRequest;
use crate::decide::table::Table;
use crate::mediation::{ActionName, ActionPattern, Effect, Kind};
use crate::paths::at_or_beneath;

impl Table {
    /// Beneath which directories the operator's policy grants the one path of this request: of each pattern that matches
    /// it the components before the first with a pattern character, the longest first. A pattern without one gives the
    /// path itself, a rule without `paths` nothing, and so does a request with several paths.
    ///
    /// What leads there is the operator's, links and all; what lies beneath may be an agent's.
    #[must_use]
    pub fn roots(&self, request: &AccessRequest) -> Vec<PathBuf> {
        let (Ok(kind), [path]) = (self.kind(request), request.paths.as_slice()) else { return Vec::new() };
        let path = path.as_bytes();
        let mut roots = Vec::new();
        for layer in self.layers.iter().filter(|layer| layer.part == Part::Grants) {
            layer.matching((request, Some(path)), kind, |_, rule| {
                let globs = rule.paths.iter().flatten().filter(|glob| glob.matches(path));
                if rule.effect != Effect::Deny {
                    roots.extend(globs.map(|glob| glob.divided().0));
                }
            });
        }
        roots.sort_by_cached_key(|root| (Reverse(root.components().count()), root.clone()));
        roots.dedup();
        roots
    }

    /// The programs that the operator's policy names for actions, allowed or with an approval, and directories of programs;
    /// `None` when it allows none at all.
    #[must_use]
    pub fn programs(&self) -> Option<Vec<PathBuf>> {
        let action = "process_exec".parse::<ActionName>().ok()?;
        let grants = self.layers.iter().filter(|layer| layer.part == Part::Grants);
        let rules = grants.flat_map(|layer| &layer.rules).filter(|rule| rule.means(&action, Kind::ProcessExec));
        let allowing: Vec<&CompiledRule> = rules.filter(|rule| rule.effect != Effect::Deny).collect();
        let globs = allowing.iter().flat_map(|rule| rule.exec.iter().flatten());
        let mut paths: Vec<PathBuf> =
            globs.map(|glob| glob.divided().0).filter(|path| path.parent().is_some()).collect();
        paths.sort_unstable();
        paths.dedup();
        (!allowing.is_empty()).then_some(paths)
    }

    /// The programs that one started by an action may start in its turn: those that every layer allows whatever their
    /// arguments are and however often. `/usr/bin/git` is that program, `/usr/bin/**` gives `/usr/bin`, with all that is
    /// beneath it; other patterns give nothing. A directory in which anything needs an approval, is counted or is refused
    /// is not among them.
    #[must_use]
    pub fn executables(&self) -> Vec<PathBuf> {
        let Ok(action) = "process_exec".parse::<ActionName>() else { return Vec::new() };
        let layers: Vec<Programs<'_>> = self.layers.iter().map(|layer| Programs::of(layer, &action)).collect();
        let mut found: Vec<Reach> = layers.iter().flat_map(Programs::named_freely).collect();
        found.retain(|reach| layers.iter().all(|layer| layer.leaves_free(reach)));
        let outer: Vec<PathBuf> = found.iter().filter(|reach| reach.beneath).map(|reach| reach.path.clone()).collect();
        let within = |path: &Path| outer.iter().any(|outer| path != outer && at_or_beneath(path, outer));
        let mut paths: Vec<PathBuf> = found.into_iter().map(|reach| reach.path).filter(|path| !within(path)).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

/// A program, or a directory with all that is beneath it.
struct Reach {
    path: PathBuf,
    beneath: bool,
}

impl Reach {
    /// What the pattern means, if it is one of the two.
    fn of(glob: &Glob) -> Option<Self> {
        let (path, rest) = glob.divided();
        match rest {
            [] => Some(Self { path, beneath: false }),
            [Component::Any] => Some(Self { path, beneath: true }),
            _ => None,
        }
    }

    fn everything() -> Self {
        Self { path: "/".into(), beneath: true }
    }

    /// Whether the pattern means all of it.
    fn within(&self, glob: &Glob) -> bool {
        match Self::of(glob) {
            Some(all) if all.beneath => at_or_beneath(&self.path, &all.path),
            _ => !self.beneath && glob.matches(self.path.as_os_str().as_encoded_bytes()),
        }
    }

    /// Whether the pattern may mean some of it.
    fn meets(&self, glob: &Glob) -> bool {
        if !self.beneath {
            return glob.matches(self.path.as_os_str().as_encoded_bytes());
        }
        let (literal, rest) = glob.divided();
        at_or_beneath(&literal, &self.path) || (!rest.is_empty() && at_or_beneath(&self.path, &literal))
    }
}

/// What one layer says of programs: by the action's name, and by `*`.
struct Programs<'l> {
    part: Part,
    named: Vec<&'l CompiledRule>,
    any: Vec<&'l CompiledRule>,
}

impl<'l> Programs<'l> {
    fn of(layer: &'l Layer, action: &ActionName) -> Self {
        let about = layer.rules.iter().filter(|rule| rule.means(action, Kind::ProcessExec));
        let (named, any) = about.partition(|rule| rule.action != ActionPattern::Any);
        Self { part: layer.part, named, any }
    }

    fn named_freely(&self) -> impl Iterator<Item = Reach> {
        let free = self.named.iter().chain(&self.any).filter(|rule| free(rule));
        free.flat_map(|rule| match &rule.exec {
            Some(globs) => globs.iter().filter_map(Reach::of).collect(),
            None => vec![Reach::everything()],
        })
    }

    /// Whether the layer allows all of it without a further word. Once a rule that names the action means it, none about
    /// `*` counts.
    fn leaves_free(&self, reach: &Reach) -> bool {
        for rules in [&self.named, &self.any] {
            let means = |rule: &CompiledRule, how: fn(&Reach, &Glob) -> bool| {
                rule.exec.as_ref().is_none_or(|globs| globs.iter().any(|glob| how(reach, glob)))
            };
            if rules.iter().any(|rule| holds_back(rule) && means(rule, Reach::meets)) {
                return false;
            }
            if rules.iter().any(|rule| free(rule) && means(rule, Reach::within)) {
                return true;
            }
        }
        // A layer that allows nothing of the sort has no opinion, if it is none that grants.
        let allows = self.named.iter().chain(&self.any).any(|rule| rule.effect != Effect::Deny);
        self.part == Part::Narrows && !allows
    }
}

/// Whether what the rule means needs nothing else.
fn free(rule: &CompiledRule) -> bool {
    rule.effect == Effect::Allow && rule.argv.is_none() && !holds_back(rule)
}

/// Whether the rule takes something from what it means: a program changes something, so `mode: read_only` refuses it.
fn holds_back(rule: &CompiledRule) -> bool {
    rule.effect != Effect::Allow || rule.read_only || rule.rate.is_some() || rule.count.is_some()
}
