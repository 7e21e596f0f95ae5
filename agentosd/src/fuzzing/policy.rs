//! The text of a policy.

use policies::{CaseTable, Effective, Narrowing, Shipped, Variables, parse, render, resolve};
use std::path::Component;

/// A refusal names a place; what is accepted reads back from what is shown of it, and binds to clean paths.
pub fn policy(bytes: &[u8]) {
    agent_file(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    cases(text);
    let document = match parse("fuzzed.yaml", text) {
        Ok(document) => document,
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1 && !error.to_string().is_empty());
            return;
        }
    };
    let Ok(policy) = resolve(&document, &Shipped).inspect_err(|error| assert!(!error.to_string().is_empty())) else {
        return;
    };
    let page = render(&policy);
    let shown = parse("shown.yaml", &page).unwrap_or_else(|error| panic!("{error}\nin\n{page}"));
    let again = resolve(&shown, &Shipped).unwrap_or_else(|error| panic!("{error}\nin\n{page}"));
    assert_eq!(meaning(&again), meaning(&policy), "{page}");
    for workspace in [None, Some("/home/ann/project".into())] {
        bind(&policy, &Variables { workspace, home: "/home/agent".into(), name: "coder".into() });
    }
}

/// An agent's own file, also when it is Markdown: a refusal names a line of it, and so does every rule.
fn agent_file(bytes: &[u8]) {
    match Narrowing::read("security.md", bytes, &[]) {
        Ok(own) => {
            let lines = u64::try_from(bytes.split(|byte| *byte == b'\n').count()).unwrap_or(u64::MAX);
            assert!(own.mediation().rules.iter().all(|rule| (1..=lines).contains(&rule.origin.line)), "{own:?}");
            assert!(own.mediation().network.is_empty() && own.mediation().actions.is_empty(), "it grants: {own:?}");
        }
        Err(error) => assert!(error.line >= 1 && error.column >= 1 && !error.to_string().is_empty()),
    }
}

/// A table of cases, tried with a policy.
fn cases(text: &str) {
    let Ok(table) = CaseTable::read("fuzzed.cases.yaml", text)
        .inspect_err(|error| assert!(error.line >= 1 && error.column >= 1 && !error.to_string().is_empty()))
    else {
        return;
    };
    let base = policies::resolve_profile(&"base".parse().unwrap_or_else(|error| panic!("{error}")), &Shipped);
    let base = base.unwrap_or_else(|error| panic!("{error}"));
    if let Err(error) = table.run(&base) {
        assert!(!error.to_string().is_empty());
    }
}

/// What a policy says, wherever it says it.
fn meaning(policy: &Effective) -> impl PartialEq + std::fmt::Debug {
    let files = policy.filesystem.iter();
    let files = files.map(|rule| (rule.path.clone(), rule.access, rule.optional, rule.tmpfs, rule.exec));
    let env = policy.env.iter().map(|rule| (rule.name.clone(), rule.value.clone()));
    let exec = policy.exec.iter().map(|rule| rule.value.clone());
    let hostname = policy.hostname.as_ref().map(|rule| rule.value.clone());
    (files.collect::<Vec<_>>(), env.collect::<Vec<_>>(), exec.collect::<Vec<_>>(), hostname, policy.limits.to_string())
}

fn bind(policy: &Effective, variables: &Variables) {
    let Ok(bound) = policy.bind(variables) else { return };
    let clean = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    for (index, rule) in bound.filesystem.iter().enumerate() {
        assert!(rule.path.is_absolute() && rule.path.components().all(clean), "{}", rule.path.display());
        let later = &bound.filesystem[index + 1..];
        assert!(
            later.iter().all(|other| !rule.path.starts_with(&other.path)),
            "a parent after {}",
            rule.path.display()
        );
    }
    assert!(bound.exec.iter().all(|path| path.is_absolute() && path.components().all(clean)));
    assert!(bound.env.iter().all(|variable| variable.value.as_ref().is_none_or(|value| !value.contains('\0'))));
}
