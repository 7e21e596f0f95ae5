//! What one file must be beyond well-typed: rules that contradict themselves, repeat, or name what no rule may name.

use std::collections::HashMap;

use serde_saphyr::Spanned;

use crate::parse::at;
use crate::parse_error::{ParseError, Place};
use crate::schema::{Access, File, FsEntry};
use crate::template::PathTemplate;

/// The most entries of one list: each filesystem rule is a mount, and nobody oversees more.
pub(crate) const MOST_ENTRIES: usize = 1024;

/// Checks the file's rules against each other.
pub(crate) fn check(file: &File, place: Place<'_>) -> Result<(), ParseError> {
    let process = &file.process;
    unique(&file.extends, place, |name| format!("the profile `{name}`"))?;
    unique(&file.filesystem, place, |entry| format!("the path `{}`", entry.path))?;
    unique(&process.exec, place, |path| format!("the path `{path}`"))?;
    unique(&process.env, place, |entry| format!("the variable `{}`", entry.name))?;
    for entry in &file.filesystem {
        if let Some(reason) = objection(&entry.value) {
            return Err(place.error(at(entry), reason));
        }
    }
    if let Some(size) = file.memory.too_small() {
        let why = format!("{} holds next to nothing, since each file counts 4KiB; at least 64KiB", size.value);
        return Err(place.error(at(size), why));
    }
    for path in &process.exec {
        if let Some(owner) = reserved(&path.value) {
            return Err(place.error(at(path), format!("{owner}; programs cannot be executed there")));
        }
    }
    crate::mediation::check(file, place)
}

/// Of two entries about the same thing in one file only one can be meant.
pub(crate) fn unique<T>(
    entries: &[Spanned<T>],
    place: Place<'_>,
    subject: impl Fn(&T) -> String,
) -> Result<(), ParseError> {
    if let Some(entry) = entries.get(MOST_ENTRIES) {
        return Err(place.error(at(entry), format!("the list has more than {MOST_ENTRIES} entries")));
    }
    let mut seen = HashMap::new();
    for entry in entries {
        let subject = subject(&entry.value);
        let line = entry.referenced.line();
        if let Some(first) = seen.get(&subject) {
            return Err(
                place.error(at(entry), format!("{subject} is listed already on line {first}; keep one of the two"))
            );
        }
        seen.insert(subject, line);
    }
    Ok(())
}

/// Why a filesystem rule cannot mean anything, if so.
fn objection(entry: &FsEntry) -> Option<String> {
    let path = &entry.path;
    if let Some(owner) = reserved(path).filter(|_| path.to_string() != "/dev/shm" || entry.tmpfs.is_none()) {
        return Some(format!("{owner}, so no rule may name `{path}`"));
    }
    if entry.access == Access::Write && beneath(&path.to_string(), "/sys") {
        return Some(format!("`{path}` changes the host's kernel, so it can only be read"));
    }
    if entry.directory.0 && (entry.access != Access::Write || entry.tmpfs.is_some()) {
        let what = if entry.tmpfs.is_some() { "is a tmpfs" } else { "is not written" };
        return Some(format!("`{path}` {what}, so it does not matter what the host has there: remove `directory`"));
    }
    match (entry.access, entry.tmpfs, entry.exec) {
        (Access::Read, Some(_), _) => {
            Some(format!("`{path}` is a tmpfs, which starts empty: its access must be `write`"))
        }
        (Access::None, Some(_), _) => Some(format!("`{path}` cannot be a tmpfs and have the access `none`: keep one")),
        (Access::None, _, Some(_)) => Some(format!("`{path}` has the access `none`: remove `exec`")),
        (Access::None, _, _) if entry.optional.0 => {
            Some(format!("`{path}` has the access `none`, which needs nothing on the host: remove `optional`"))
        }
        (_, Some(_), _) if entry.optional.0 => {
            Some(format!("`{path}` is a tmpfs, which needs nothing on the host: remove `optional`"))
        }
        _ => None,
    }
}

/// The places that the sandbox builds itself; a rule there would show the host's, or hide the agent's own.
const RESERVED: [(&str, &str); 9] = [
    ("/proc", "/proc is the agent's own, with only its own processes"),
    ("/dev", "/dev is the agent's own and minimal (only `/dev/shm` can be sized, with `tmpfs`)"),
    ("/run/agentos", "/run/agentos holds the agent's socket to the kernel"),
    ("/policy", "/policy shows the agent its own policy"),
    ("/mem", "/mem is the agent's memory"),
    ("/state", "/state holds the agent's checkpoints"),
    ("/tools", "/tools holds the agent's granted actions"),
    ("/ipc", "/ipc holds the agent's pipes"),
    ("/.agentos", "/.agentos is where the agent's memory, policy and tools are mounted"),
];

fn reserved(path: &PathTemplate) -> Option<&'static str> {
    reserved_beneath(&path.to_string())
}

/// What the sandbox builds at or above `path` itself, if anything.
pub(crate) fn reserved_beneath(path: &str) -> Option<&'static str> {
    RESERVED.iter().find(|(top, _)| beneath(path, top)).map(|(_, owner)| *owner)
}

fn beneath(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
