//! Rules as they would be written: YAML of one line each, the same for rules that say the same.

use std::fmt;

use crate::mediation::{ActionRule, Argv, Effect, NetworkRule, RegisteredAction};
use crate::render::quoted;

/// The keys of one entry, in the order in which they are added.
struct Entry(Vec<String>);

impl Entry {
    fn new(key: &str, value: &str) -> Self {
        Self(vec![format!("{key}: {value}")])
    }

    fn add<T: fmt::Display>(&mut self, key: &str, value: Option<T>) {
        self.0.extend(value.map(|value| format!("{key}: {value}")));
    }

    /// A list in a fixed order without repetitions, because its order means nothing.
    fn set<T: fmt::Display>(&mut self, key: &str, values: Option<&Vec<T>>) {
        let mut words: Vec<String> = values.into_iter().flatten().map(word).collect();
        words.sort_unstable();
        words.dedup();
        self.list(key, values.map(|_| words));
    }

    fn list(&mut self, key: &str, words: Option<Vec<String>>) {
        self.0.extend(words.map(|words| format!("{key}: [{}]", words.join(", "))));
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.0.join(", "))
    }
}

/// One word as YAML reads it back.
fn word<T: fmt::Display>(value: T) -> String {
    let text = value.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    // Only words of the language itself stay bare; a word such as `true` would be read as text all the same.
    if !text.is_empty() && text.chars().all(plain) { text } else { quoted(&text) }
}

impl fmt::Display for ActionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entry = Entry::new("action", &self.action.to_string());
        entry.add("effect", (self.effect == Effect::Deny).then_some("deny"));
        let conditions = &self.conditions;
        entry.set("paths", conditions.paths.as_ref());
        entry.set("exec", conditions.exec.as_ref());
        entry.list("argv", conditions.argv.as_ref().map(arguments));
        entry.set("hosts", conditions.hosts.as_ref());
        entry.set("ports", conditions.ports.as_ref());
        entry.set("methods", conditions.methods.as_ref());
        entry.set("databases", conditions.databases.as_ref());
        entry.set("statements", conditions.statements.as_ref());
        entry.add("mode", self.read_only.then_some("read_only"));
        entry.add("max_bytes", self.max_bytes);
        entry.add("rate", self.rate);
        entry.add("count", self.count);
        entry.add("requires_approval", (self.effect == Effect::RequireApproval).then_some(true));
        entry.set("filters", (!self.filters.is_empty()).then_some(&self.filters));
        entry.fmt(f)
    }
}

fn arguments(argv: &Argv) -> Vec<String> {
    let more = argv.more.then(|| "...".to_owned());
    argv.words.iter().map(|argument| quoted(argument.as_str())).chain(more).collect()
}

impl fmt::Display for NetworkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entry = Entry::new("host", &quoted(&self.host.to_string()));
        entry.set("ports", Some(&self.ports));
        entry.set("methods", self.methods.as_ref());
        entry.fmt(f)
    }
}

impl fmt::Display for RegisteredAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entry = Entry::new("name", self.name.as_str());
        entry.list("command", Some(self.command.iter().map(|word| quoted(word)).collect()));
        let params: Vec<String> = self
            .params
            .iter()
            .map(|(name, param)| {
                let mut words = Entry::new("type", &param.kind.to_string());
                words.add("required", param.required().then_some(true));
                words.add("max_length", param.max_length());
                format!("{name}: {words}")
            })
            .collect();
        entry.add("params", (!params.is_empty()).then(|| format!("{{{}}}", params.join(", "))));
        entry.add("profile", self.profile.as_ref());
        entry.add("read_only", self.read_only.then_some(true));
        entry.fmt(f)
    }
}
