//! What the mediating keys must be beyond well-typed: rules that contradict themselves, and actions that do not exist.

use std::collections::BTreeMap;

use crate::check::{MOST_ENTRIES, unique};
use crate::mediation::rule::{ArgvWord, WrittenEffect};
use crate::mediation::{ActionEntry, ActionPattern, Condition, Kind, RuleEntry};
use crate::nearest::nearest;
use crate::parse::{Document, at};
use crate::parse_error::{ParseError, Place};
use crate::schema::File;

/// Checks what one file says, as far as no other file is needed for it.
pub(crate) fn check(file: &File, place: Place<'_>) -> Result<(), ParseError> {
    if let Some(actions) = &file.actions {
        unique(&actions.value, place, |entry| format!("the action `{}`", entry.name))?;
        for entry in &actions.value {
            if let Some(reason) = action_objection(&entry.value) {
                return Err(place.error(at(entry), reason));
            }
        }
    }
    check_rules(file, place)?;
    for entry in file.network.iter().flat_map(|network| &network.value) {
        let methods = entry.value.methods.as_ref().is_some_and(Vec::is_empty);
        if let Some(key) = methods.then_some("methods").or(entry.value.ports.is_empty().then_some("ports")) {
            return Err(place.error(at(entry), empty(key)));
        }
    }
    Ok(())
}

fn check_rules(file: &File, place: Place<'_>) -> Result<(), ParseError> {
    let Some(rules) = &file.policies else { return Ok(()) };
    if let Some(entry) = rules.value.get(MOST_ENTRIES) {
        return Err(place.error(at(entry), format!("the list has more than {MOST_ENTRIES} entries")));
    }
    for entry in &rules.value {
        let kind = match &entry.value.action.value {
            ActionPattern::Named(name) => Kind::built_in(name.as_str()),
            ActionPattern::Any => None,
        };
        let reason = objection(&entry.value).or_else(|| kind.and_then(|kind| mismatch(&entry.value, kind)));
        if let Some(reason) = reason {
            return Err(place.error(at(entry), reason));
        }
    }
    Ok(())
}

/// Checks that every rule of the documents is about an action that is built in or that one of them registers.
pub(crate) fn check_names(documents: &[Document]) -> Result<(), ParseError> {
    let declared = |document: &'_ Document| document.file.actions.clone().map(|actions| actions.value);
    let entries = documents.iter().filter_map(declared).flatten();
    let registered: BTreeMap<String, Kind> =
        entries.map(|entry| (entry.value.name.to_string(), kind_of(&entry.value))).collect();
    documents.iter().try_for_each(|document| check_names_of(&document.file, document.place(), &registered))
}

/// The same for one file, when `registered` is what an operator's policy has registered.
pub(crate) fn check_names_of(
    file: &File,
    place: Place<'_>,
    registered: &BTreeMap<String, Kind>,
) -> Result<(), ParseError> {
    for entry in file.policies.iter().flat_map(|rules| &rules.value) {
        let ActionPattern::Named(name) = &entry.value.action.value else { continue };
        if Kind::built_in(name.as_str()).is_some() {
            continue;
        }
        let Some(kind) = registered.get(name.as_str()) else {
            let action = &entry.value.action;
            let (message, expected) = unknown(name.as_str(), registered);
            let mut error = place.error(at(action), message);
            error.expected = Some(expected);
            return Err(error);
        };
        if let Some(reason) = mismatch(&entry.value, *kind) {
            return Err(place.error(at(entry), reason));
        }
    }
    Ok(())
}

/// What is wrong with a name that no action has, and what would have been right.
fn unknown(name: &str, registered: &BTreeMap<String, Kind>) -> (String, String) {
    let known: Vec<&str> =
        Kind::BUILT_IN.iter().map(|(name, _)| *name).chain(registered.keys().map(String::as_str)).collect();
    let hint = nearest(name, known.iter().copied()).map(|known| format!("; did you mean `{known}`?"));
    (
        format!("unknown action `{name}`{}", hint.unwrap_or_default()),
        format!("one of: {}, \"*\", or an action that `actions` registers", known.join(", ")),
    )
}

fn kind_of(entry: &ActionEntry) -> Kind {
    Kind::Registered { read_only: entry.read_only.0 }
}

fn action_objection(entry: &ActionEntry) -> Option<String> {
    let name = &entry.name;
    if Kind::built_in(name.as_str()).is_some() || name.as_str() == crate::decide::NETWORK_ACTION {
        return Some(format!("`{name}` is an action already; choose another name"));
    }
    if entry.params.len() > 64 {
        return Some(format!("`{name}` has more than 64 parameters"));
    }
    match entry.command.first() {
        None => Some(format!("the command of `{name}` is empty: list the program and its arguments")),
        Some(program) if !program.0.starts_with('/') => {
            Some(format!("the program `{}` of `{name}` is no absolute path", program.0))
        }
        Some(program) if program.0.split('/').any(|part| part == "." || part == "..") => {
            Some(format!("the program `{}` of `{name}` contains `.` or `..`", program.0))
        }
        Some(_) => None,
    }
}

fn empty(key: &str) -> String {
    format!("`{key}` is an empty list, which matches nothing: list what it should match, or remove it")
}

/// Why a rule cannot mean anything, whichever action it is about.
fn objection(entry: &RuleEntry) -> Option<String> {
    let conditions = entry.conditions();
    if let Some((condition, _)) = conditions.stated().find(|(_, count)| *count == 0) {
        return Some(empty(condition.key()));
    }
    if entry.filters.as_ref().is_some_and(Vec::is_empty) {
        return Some(empty("filters"));
    }
    if entry.effect == Some(WrittenEffect::Deny) {
        let keys = [
            ("mode", entry.mode.is_some()),
            ("max_bytes", entry.max_bytes.is_some()),
            ("rate", entry.rate.is_some()),
            ("count", entry.count.is_some()),
            ("requires_approval", entry.requires_approval.0),
            ("filters", entry.filters.is_some()),
        ];
        if let Some((key, _)) = keys.into_iter().find(|(_, stated)| *stated) {
            return Some(format!("`effect: deny` refuses all that the rule matches: remove `{key}`"));
        }
        if conditions.argv.is_some() {
            let remedy = "allow those that are wanted, or refuse the program";
            return Some(format!(
                "the same arguments can be written in many ways, so `argv` cannot refuse them: {remedy}"
            ));
        }
    }
    let words = entry.argv.as_deref().unwrap_or_default();
    if words.iter().rev().skip(1).any(|word| matches!(word, ArgvWord::More)) {
        return Some("`...` stands for all further arguments, so it must be the last of `argv`".to_owned());
    }
    if conditions.argv.is_some() && conditions.exec.is_none() {
        return Some("the same arguments mean different things to different programs: add `exec`".to_owned());
    }
    None
}

/// Why a rule cannot be about an action of this sort.
fn mismatch(entry: &RuleEntry, kind: Kind) -> Option<String> {
    let action = &entry.action.value;
    let foreign = |(condition, _): &(Condition, usize)| !kind.has(*condition);
    if let Some((condition, _)) = entry.conditions().stated().find(foreign) {
        return Some(format!("a request of `{action}` has no such thing as `{}`: remove it", condition.key()));
    }
    if entry.mode.is_some() && kind.always_changes() {
        return Some(format!(
            "`{action}` always changes something: write `effect: deny` in place of `mode: read_only`"
        ));
    }
    None
}

/// What an operator's policy has registered, for [`check_names_of`].
pub(crate) fn registered(actions: &[crate::RegisteredAction]) -> BTreeMap<String, Kind> {
    actions.iter().map(|action| (action.name.to_string(), action.kind())).collect()
}
