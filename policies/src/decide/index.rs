//! The rules about one action, found by what a request brings instead of one after the other.

use std::collections::HashMap;

use crate::decide::compiled::{CompiledRule, Needs};
use crate::decide::names::Names;
use crate::decide::request::AccessRequest;
use crate::decide::trie::{PathTrie, RuleId};
use crate::mediation::Effect;

/// The rules of one layer about one action, or about all.
///
/// A rule stands under its most telling condition: paths, program, host or database. No sort of request has two of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    anything: Vec<RuleId>,
    paths: PathTrie,
    programs: PathTrie,
    hosts: HashMap<Box<str>, Vec<RuleId>>,
    /// Hosts beneath a name.
    domains: HashMap<Box<str>, Vec<RuleId>>,
    databases: HashMap<Box<[u8]>, Vec<RuleId>>,
    database_patterns: Names<RuleId>,
    /// For which sorts of request there is a rule that allows something.
    allowing: Vec<Needs>,
}

impl Index {
    pub(crate) fn insert(&mut self, rule: &CompiledRule, id: RuleId) {
        if rule.effect != Effect::Deny && !self.allowing.contains(&rule.needs()) {
            self.allowing.push(rule.needs());
        }
        if let Some(globs) = &rule.paths {
            globs.iter().for_each(|glob| self.paths.insert(glob, id));
        } else if let Some(globs) = &rule.exec {
            globs.iter().for_each(|glob| self.programs.insert(glob, id));
        } else if let Some(hosts) = &rule.hosts {
            for (name, beneath) in hosts.iter().map(|host| host.parts()) {
                let map = if beneath { &mut self.domains } else { &mut self.hosts };
                map.entry(name.into()).or_default().push(id);
            }
        } else if let Some(names) = &rule.databases {
            for name in names {
                match name.literal() {
                    Some(name) => self.databases.entry(name).or_default().push(id),
                    None => self.database_patterns.insert(name.clone(), id),
                }
            }
        } else {
            self.anything.push(id);
        }
    }

    /// Whether one of the rules allows something to requests that have what is `met`.
    pub(crate) fn allows_something(&self, met: Needs) -> bool {
        self.allowing.iter().any(|needs| needs.within(met))
    }

    /// Calls `found` with every rule whose most telling condition holds; with some of them more than once.
    pub(crate) fn visit(&self, request: &AccessRequest, path: Option<&[u8]>, mut found: impl FnMut(RuleId)) {
        self.anything.iter().for_each(|id| found(*id));
        if let Some(path) = path {
            self.paths.visit(path, &mut found);
        }
        if let Some(program) = &request.program {
            self.programs.visit(program.as_bytes(), &mut found);
        }
        if let Some(host) = &request.host {
            let host = host.as_str();
            self.hosts.get(host).into_iter().flatten().for_each(|id| found(*id));
            if !self.domains.is_empty() {
                let beneath = host.match_indices('.').filter_map(|(dot, _)| self.domains.get(&host[dot + 1..]));
                beneath.flatten().for_each(|id| found(*id));
            }
        }
        if let Some(database) = &request.database {
            let database = database.as_bytes();
            self.databases.get(database).into_iter().flatten().for_each(|id| found(*id));
            self.database_patterns.matching(database).for_each(|id| found(*id));
        }
    }
}
