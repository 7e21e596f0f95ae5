//! A policy for people: the YAML of an [`Effective`] policy with the origin of each line.

use crate::absence::WithoutDaemon;
use crate::effective::{Effective, FsRule};
use crate::env::EnvValue;
use crate::mediation::Mediation;
use crate::memory::Memory;
use crate::origin::{Origin, Rule};

/// The column at which the origins stand.
const MARGIN: usize = 64;

/// The effective policy as YAML with comments. The YAML without `extends` means the same as the original with it.
#[must_use]
pub fn render(policy: &Effective) -> String {
    let mut page = Page(String::new());
    page.comment(&format!("policy {}, digest sha256:{}", policy.name, policy.digest));
    page.comment("from, parents first:");
    for source in &policy.sources {
        page.comment(&format!("  {}", source.origin));
    }
    for key in &policy.not_enforced {
        page.comment(&format!("NOT ENFORCED by this version: {key}"));
    }
    page.line("process:", None);
    if let Some(Rule { value, origin }) = &policy.hostname {
        page.line(&format!("  hostname: {}", quoted(value.as_str())), Some(origin));
    }
    page.list("  exec:", policy.exec.is_empty());
    for rule in &policy.exec {
        page.line(&format!("    - {}", quoted(&rule.value.to_string())), Some(&rule.origin));
    }
    page.list("  env:", policy.env.is_empty());
    for rule in &policy.env {
        let entry = match &rule.value {
            EnvValue::FromCaller => rule.name.to_string(),
            EnvValue::Fixed(value) => format!("{}={value}", rule.name),
        };
        page.line(&format!("    - {}", quoted(&entry)), Some(&rule.origin));
    }
    page.limits(policy);
    if !policy.optional_layers.is_empty() {
        page.line("optional_layers:", None);
        for rule in &policy.optional_layers {
            page.line(&format!("  - {}", rule.value), Some(&rule.origin));
        }
    }
    page.memory(&policy.memory);
    page.without_daemon(&policy.without_daemon);
    page.mediation(&policy.mediation);
    page.list("filesystem:", policy.filesystem.is_empty());
    for rule in &policy.filesystem {
        page.line(&format!("  - {}", fs_entry(rule)), Some(&rule.origin));
    }
    page.0
}

/// The result of a check in a few lines: what the policy is made of, its limits, what is not enforced.
#[must_use]
pub fn summary(policy: &Effective) -> String {
    let sources: Vec<&str> = policy.sources.iter().map(|source| &*source.origin).collect();
    let mut text = format!(
        "{}: valid\n  from     {}\n  digest   sha256:{}\n  limits   {}\n  memory   {}\n  rules    {} filesystem, {} exec, {} env\n",
        policy.name,
        sources.join(", "),
        policy.digest,
        policy.limits,
        policy.memory,
        policy.filesystem.len(),
        policy.exec.len(),
        policy.env.len(),
    );
    for key in &policy.not_enforced {
        text.push_str("  NOT ENFORCED by this version: ");
        text.push_str(key);
        text.push('\n');
    }
    text
}

fn fs_entry(rule: &FsRule) -> String {
    let mut entry = format!("{{path: {}, access: {}", quoted(&rule.path.to_string()), rule.access.word());
    if rule.optional {
        entry.push_str(", optional: true");
    }
    if let Some(size) = rule.tmpfs {
        entry.push_str(&format!(", tmpfs: {size}"));
    }
    if let Some(exec) = rule.exec {
        entry.push_str(&format!(", exec: {exec}"));
    }
    if rule.directory {
        entry.push_str(", directory: true");
    }
    entry + "}"
}

/// The text as a YAML scalar: bare if nothing in it could be anything but text, else double-quoted.
pub(crate) fn quoted(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "/_.-+=".contains(c);
    if text.starts_with(|c: char| c == '/' || c.is_ascii_uppercase()) && text.chars().all(bare) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() || !c.is_ascii() => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

struct Page(String);

impl Page {
    fn comment(&mut self, text: &str) {
        self.0.push_str("# ");
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn line(&mut self, text: &str, origin: Option<&Origin>) {
        self.0.push_str(text);
        if let Some(origin) = origin {
            let gap = MARGIN.saturating_sub(text.chars().count()).max(1);
            self.0.extend(std::iter::repeat_n(' ', gap));
            self.0.push_str(&format!("# {origin}"));
        }
        self.0.push('\n');
    }

    fn list(&mut self, key: &str, empty: bool) {
        self.line(&format!("{key}{}", if empty { " []" } else { "" }), None);
    }

    fn limits(&mut self, policy: &Effective) {
        let limits = &policy.limits;
        self.line("  limits:", None);
        self.limit("memory", Some(&limits.memory));
        self.limit("pids", Some(&limits.pids));
        self.limit("files", Some(&limits.files));
        self.limit("cpu", limits.cpu.as_ref());
        self.limit("wall", limits.wall.as_ref());
        self.limit("output", limits.output.as_ref());
        self.limit("file_size", limits.file_size.as_ref());
        self.limit("cpu_time", limits.cpu_time.as_ref());
        self.limit("actions", limits.actions.as_ref());
        self.limit("action_rate", limits.action_rate.as_ref());
        self.limit("repeats", limits.repeats.as_ref());
    }

    fn limit<T: std::fmt::Display>(&mut self, key: &str, rule: Option<&Rule<T>>) {
        self.entry("    ", key, rule);
    }

    fn memory(&mut self, memory: &Memory) {
        self.line(if *memory == Memory::default() { "memory: {}" } else { "memory:" }, None);
        for (key, rule) in memory.parts() {
            self.entry("  ", key, Some(rule));
        }
        self.entry("  ", "inodes", memory.inodes.as_ref());
        self.entry("  ", "semantic_shared", memory.semantic_shared.as_ref());
        self.entry("  ", "on_vfs_loss", memory.on_vfs_loss.as_ref());
    }

    fn without_daemon(&mut self, absence: &WithoutDaemon) {
        if *absence == WithoutDaemon::default() {
            return;
        }
        self.line("without_daemon:", None);
        self.entry("  ", "requests", absence.requests.as_ref());
        self.entry("  ", "orphan_after", absence.orphan_after.as_ref());
        self.entry("  ", "orphan", absence.orphan.as_ref());
    }

    fn mediation(&mut self, mediation: &Mediation) {
        if let Some(Rule { value, origin }) = &mediation.mode {
            self.line(&format!("kernel: {{version: \"1.0\", mode: {value}}}"), Some(origin));
        }
        if let Some(Rule { value, origin }) = &mediation.signals {
            let names: Vec<String> = value.iter().map(ToString::to_string).collect();
            self.line(&format!("signals: [{}]", names.join(", ")), Some(origin));
        }
        self.rules("policies:", &mediation.rules, |rule| &rule.origin);
        self.rules("actions:", &mediation.actions, |action| &action.origin);
        self.rules("network:", &mediation.network, |rule| &rule.origin);
        let answers = mediation.answers();
        if answers.iter().any(|(_, answer)| answer.is_some()) {
            self.line("on_violation:", None);
            answers.into_iter().for_each(|(key, answer)| self.entry("  ", key, answer));
        }
    }

    /// A list of entries that are shown as they would be written; nothing if there are none.
    fn rules<T: std::fmt::Display>(&mut self, key: &str, rules: &[T], origin: impl Fn(&T) -> &Origin) {
        if !rules.is_empty() {
            self.line(key, None);
        }
        for rule in rules {
            self.line(&format!("  - {rule}"), Some(origin(rule)));
        }
    }

    fn entry<T: std::fmt::Display>(&mut self, indent: &str, key: &str, rule: Option<&Rule<T>>) {
        if let Some(rule) = rule {
            self.line(&format!("{indent}{key}: {}", rule.value), Some(&rule.origin));
        }
    }
}
