//! The conditions of a rule as an expression of Cedar.

use policies::{Conditions, Kind, Method};

/// How many components from each end a request shows.
pub(crate) const SHOWN: usize = 6;

/// The expression, or nothing if a pattern cannot be exported.
pub(crate) fn condition(conditions: &Conditions, kind: Kind) -> Option<String> {
    let mut all = vec!["true".to_owned()];
    if let Some(patterns) = &conditions.paths {
        all.push(any(patterns.iter().map(|pattern| path("path", &pattern.to_string())))?);
    }
    if let Some(patterns) = &conditions.exec {
        all.push(any(patterns.iter().map(|pattern| path("program", &pattern.to_string())))?);
    }
    if let Some(argv) = &conditions.argv {
        let words: Option<Vec<String>> =
            argv.words.iter().enumerate().map(|(at, word)| like(&format!("context.a{at}"), word.as_str())).collect();
        let count = if argv.more { ">=" } else { "==" };
        let words = words?;
        all.push(format!("context.argc {count} {}", words.len()));
        all.extend(words);
    }
    if let Some(hosts) = &conditions.hosts {
        all.push(any(hosts.iter().map(|host| {
            let text = host.to_string();
            // A host is never empty before its dot, and `like` would take that.
            let beneath = text
                .strip_prefix('*')
                .map(|rest| format!("context.host like \"*{rest}\" && context.host != \"{rest}\""));
            Some(beneath.unwrap_or_else(|| format!("context.host == \"{text}\"")))
        }))?);
    }
    if let Some(ports) = &conditions.ports {
        all.push(any(ports.iter().map(|port| Some(format!("context.port == {port}"))))?);
    }
    if let Some(methods) = &conditions.methods {
        let named = |method: &Method| format!("context.method == \"{method}\"");
        let known = if kind == Kind::Network { "context has method && " } else { "" };
        all.push(any(methods.iter().map(|method| Some(format!("{known}{}", named(method)))))?);
    }
    if let Some(names) = &conditions.databases {
        all.push(any(names.iter().map(|name| like("context.database", name.as_str())))?);
    }
    if let Some(statements) = &conditions.statements {
        all.push(any(statements.iter().map(|one| Some(format!("context.statement == \"{one}\""))))?);
    }
    Some(all.into_iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" && "))
}

fn any(each: impl Iterator<Item = Option<String>>) -> Option<String> {
    let each: Vec<String> = each.map(|one| one.map(|one| format!("({one})"))).collect::<Option<_>>()?;
    Some(each.join(" || "))
}

/// A pattern of names: Cedar's `*` is the same; its escape is not needed, because the language has none.
fn like(value: &str, pattern: &str) -> Option<String> {
    (!pattern.contains('?')).then(|| format!("{value} like \"{pattern}\""))
}

/// A pattern of paths over the components of `what`, counted from its beginning (`path_0`) and its end (`path_e0`).
fn path(what: &str, pattern: &str) -> Option<String> {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let split = parts.iter().position(|part| *part == "**");
    let (front, back) = match split {
        None => (&parts[..], None),
        Some(at) => (&parts[..at], Some(&parts[at + 1..])),
    };
    if back.is_some_and(|back| back.contains(&"**")) || parts.len() > SHOWN {
        return None;
    }
    let (compare, back) = match back {
        None => ("==", &parts[..0]),
        Some(back) => (">=", back),
    };
    let mut all = vec![format!("context.{what}_depth {compare} {}", front.len() + back.len())];
    for (at, part) in front.iter().enumerate() {
        all.push(like(&format!("context.{what}_{at}"), part)?);
    }
    for (at, part) in back.iter().rev().enumerate() {
        all.push(like(&format!("context.{what}_e{at}"), part)?);
    }
    Some(all.join(" && "))
}
