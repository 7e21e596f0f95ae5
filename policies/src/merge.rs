//! Documents in their order into one policy.

use std::sync::Arc;

use serde_saphyr::Spanned;

use crate::absence::WithoutDaemon;
use crate::digest::Digest;
use crate::effective::{Effective, EnvRule, FsRule, Limits, Source};
use crate::kernel_layer::KernelLayer;
use crate::mediation::Mediation;
use crate::memory::Memory;
use crate::names::Hostname;
use crate::origin::Rule;
use crate::parse::Document;
use crate::resolve::ResolveError;
use crate::schema::{Count, LimitEntries};
use crate::template::PathTemplate;

/// The rules of the documents merged so far.
#[derive(Default)]
pub(crate) struct Merged {
    sources: Vec<Source>,
    exec: Vec<Rule<PathTemplate>>,
    filesystem: Vec<FsRule>,
    env: Vec<EnvRule>,
    hostname: Option<Rule<Hostname>>,
    optional_layers: Vec<Rule<KernelLayer>>,
    limits: SomeLimits,
    memory: Memory,
    without_daemon: WithoutDaemon,
    mediation: Mediation,
    not_enforced: Vec<String>,
}

/// [`Limits`] while they may still be missing.
#[derive(Default)]
struct SomeLimits {
    memory: Option<Rule<crate::Size>>,
    pids: Option<Rule<u32>>,
    files: Option<Rule<u32>>,
    cpu: Option<Rule<crate::Cores>>,
    wall: Option<Rule<crate::TimeSpan>>,
    output: Option<Rule<crate::Size>>,
    file_size: Option<Rule<crate::Size>>,
    cpu_time: Option<Rule<crate::TimeSpan>>,
    actions: Option<Rule<u32>>,
    action_rate: Option<Rule<crate::Rate>>,
    repeats: Option<Rule<u32>>,
}

impl Merged {
    /// Merges the documents, parents first.
    pub(crate) fn of(documents: Vec<Document>) -> Self {
        let mut merged = Self::default();
        for document in &documents {
            merged.add(document);
        }
        merged
    }

    fn add(&mut self, document: &Document) {
        self.sources.push(Source {
            origin: Arc::clone(&document.origin),
            text: Arc::clone(&document.text),
            digest: Digest::of_text(&document.text),
        });
        let file = &document.file;
        for path in &file.process.exec {
            let rule = Rule { value: path.value.clone(), origin: document.origin_of(path) };
            replace(&mut self.exec, rule, |known, new| known.value == new.value);
        }
        for entry in &file.process.env {
            let (name, value) = (entry.value.name.clone(), entry.value.value.clone());
            let rule = EnvRule { name, value, origin: document.origin_of(entry) };
            replace(&mut self.env, rule, |known, new| known.name == new.name);
        }
        for entry in &file.filesystem {
            let rule = FsRule {
                path: entry.value.path.clone(),
                access: entry.value.access,
                optional: entry.value.optional.0,
                tmpfs: entry.value.tmpfs,
                exec: entry.value.exec.map(|flag| flag.0),
                directory: entry.value.directory.0,
                origin: document.origin_of(entry),
            };
            replace(&mut self.filesystem, rule, |known, new| known.path == new.path);
        }
        for layer in &file.optional_layers {
            let rule = Rule { value: layer.value, origin: document.origin_of(layer) };
            replace(&mut self.optional_layers, rule, |known, new| known.value == new.value);
        }
        override_with(&mut self.hostname, document, file.process.hostname.as_ref(), Hostname::clone);
        self.limits.add(document, &file.process.limits);
        self.memory.add(document, &file.memory);
        self.without_daemon.add(document, &file.without_daemon);
        self.mediation.add(document);
        self.note_not_enforced(document);
    }

    /// An agent has no network of its own, so that where its connections may go is a promise that nothing keeps.
    fn note_not_enforced(&mut self, document: &Document) {
        if let Some(network) = &document.file.network {
            self.not_enforced.push(format!("`network` ({}:{})", document.origin, network.referenced.line()));
        }
    }

    /// The effective policy under this name.
    pub(crate) fn finish(self, name: String) -> Result<Effective, ResolveError> {
        let limits = self.limits.finish(&name)?;
        if let (None, Some(shared)) = (&self.memory.semantic, &self.memory.semantic_shared) {
            return Err(ResolveError::SharedWithoutSize { origin: shared.origin.clone() });
        }
        Ok(Effective {
            digest: Digest::of_texts(self.sources.iter().map(|source| &*source.text)),
            name,
            sources: self.sources,
            exec: self.exec,
            filesystem: self.filesystem,
            env: self.env,
            hostname: self.hostname,
            optional_layers: self.optional_layers,
            limits,
            memory: self.memory,
            without_daemon: self.without_daemon,
            mediation: self.mediation,
            not_enforced: self.not_enforced,
        })
    }
}

impl SomeLimits {
    fn add(&mut self, document: &Document, entries: &LimitEntries) {
        let count = |count: &Count| count.0;
        override_with(&mut self.memory, document, entries.memory.as_ref(), |size| *size);
        override_with(&mut self.pids, document, entries.pids.as_ref(), count);
        override_with(&mut self.files, document, entries.files.as_ref(), count);
        override_with(&mut self.cpu, document, entries.cpu.as_ref(), |cores| *cores);
        override_with(&mut self.wall, document, entries.wall.as_ref(), |span| *span);
        override_with(&mut self.output, document, entries.output.as_ref(), |size| *size);
        override_with(&mut self.file_size, document, entries.file_size.as_ref(), |size| *size);
        override_with(&mut self.cpu_time, document, entries.cpu_time.as_ref(), |span| *span);
        override_with(&mut self.actions, document, entries.actions.as_ref(), count);
        override_with(&mut self.action_rate, document, entries.action_rate.as_ref(), |rate| *rate);
        override_with(&mut self.repeats, document, entries.repeats.as_ref(), count);
    }

    fn finish(self, policy: &str) -> Result<Limits, ResolveError> {
        let missing = |limit| ResolveError::MissingLimit { policy: policy.to_owned(), limit };
        Ok(Limits {
            memory: self.memory.ok_or_else(|| missing("memory"))?,
            pids: self.pids.ok_or_else(|| missing("pids"))?,
            files: self.files.ok_or_else(|| missing("files"))?,
            cpu: self.cpu,
            wall: self.wall,
            output: self.output,
            file_size: self.file_size,
            cpu_time: self.cpu_time,
            actions: self.actions,
            action_rate: self.action_rate,
            repeats: self.repeats,
        })
    }
}

/// Appends `rule`, in place of the rule about the same thing if there is one. It moves to the end, so that the list
/// stays in the order of the deciding lines.
pub(crate) fn replace<T>(rules: &mut Vec<T>, rule: T, same: impl Fn(&T, &T) -> bool) {
    rules.retain(|known| !same(known, &rule));
    rules.push(rule);
}

/// Takes over what a file says about one key, if it does.
pub(crate) fn override_with<T, U>(
    slot: &mut Option<Rule<U>>,
    document: &Document,
    entry: Option<&Spanned<T>>,
    value: impl Fn(&T) -> U,
) {
    if let Some(entry) = entry {
        *slot = Some(Rule { value: value(&entry.value), origin: document.origin_of(entry) });
    }
}
