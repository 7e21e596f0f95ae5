//! Rules about actions as a person says them.

use std::fmt;

use crate::mediation::{ActionPattern, ActionRule, Effect, Kind, NetworkRule};

/// What a rule is about: `reading files at /data/**`.
pub(crate) fn rule(rule: &ActionRule) -> String {
    let mut words = vec![match &rule.action {
        ActionPattern::Any => "every action".to_owned(),
        ActionPattern::Named(name) => match Kind::built_in(name.as_str()) {
            Some(kind) => verb(kind).to_owned(),
            None => format!("the registered action {name}"),
        },
    }];
    let conditions = &rule.conditions;
    list(&mut words, "at", conditions.paths.as_ref());
    list(&mut words, "by", conditions.exec.as_ref());
    if let Some(argv) = &conditions.argv {
        let mut shown: Vec<&str> = argv.words.iter().map(crate::NamePattern::as_str).collect();
        shown.extend(argv.more.then_some("…"));
        words.push(if shown.is_empty() {
            "without arguments".to_owned()
        } else {
            format!("with `{}`", shown.join(" "))
        });
    }
    list(&mut words, "to", conditions.hosts.as_ref());
    list(&mut words, "on port", conditions.ports.as_ref());
    list(&mut words, "with", conditions.methods.as_ref());
    list(&mut words, "of", conditions.databases.as_ref());
    list(&mut words, "by statements that", conditions.statements.as_ref());
    if rule.read_only {
        words.push("without changing anything".to_owned());
    }
    words.extend(rule.max_bytes.map(|bytes| format!("up to {bytes}")));
    words.extend(rule.rate.map(|rate| format!("at most {rate}")));
    words.extend(rule.count.map(|count| format!("at most {count} times")));
    if !rule.filters.is_empty() {
        words.push("without personal data".to_owned());
    }
    if rule.effect == Effect::RequireApproval {
        words.push("once a person has approved it".to_owned());
    }
    words.join(" ")
}

/// The same of a destination.
pub(crate) fn network(rule: &NetworkRule) -> String {
    let mut words = vec![format!("connections of its own to {}", rule.host)];
    list(&mut words, "on port", Some(&rule.ports));
    list(&mut words, "with", rule.methods.as_ref());
    words.join(" ")
}

fn list<T: fmt::Display>(words: &mut Vec<String>, before: &str, values: Option<&Vec<T>>) {
    let shown = values.map(|values| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "));
    words.extend(shown.map(|shown| format!("{before} {shown}")));
}

fn verb(kind: Kind) -> &'static str {
    match kind {
        Kind::FileRead => "reading files",
        Kind::FileWrite => "writing files",
        Kind::FileDelete => "removing files",
        Kind::ListDirectory => "listing directories",
        Kind::ProcessExec => "executing programs",
        Kind::HttpRequest => "HTTP requests",
        Kind::DatabaseQuery => "database statements",
        Kind::MemoryRead => "reading memory",
        Kind::MemoryWrite => "writing memory",
        Kind::SendMessage => "sending messages",
        Kind::Registered { .. } => "a registered action",
        Kind::Network => "connections of its own",
    }
}
