//! The text of a policy.

use policies::{Effective, Shipped, Variables, parse, render, resolve};
use std::path::Component;

/// A refusal names a place; what is accepted reads back from what is shown of it, and binds to clean paths.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
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
