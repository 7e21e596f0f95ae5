//! What a policy says of requests, apart from the rules about actions: modes, answers, registered commands.

use crate::diff::{Diff, Direction};
use crate::effective::Effective;
use crate::mediation::{AnswerSignal, Mediation, Mode, RegisteredAction};

pub(crate) fn compare(old: &Effective, new: &Effective, found: &mut Diff) {
    let (old, new) = (&old.mediation, &new.mediation);
    mode(old, new, found);
    signals(old, new, found);
    answers(old, new, found);
    for action in &new.actions {
        registered(old.actions.iter().find(|known| known.name == action.name), action, found);
    }
    for gone in old.actions.iter().filter(|action| !new.actions.iter().any(|known| known.name == action.name)) {
        let words = format!("the registered action {}: {}", gone.name, gone.command.join(" "));
        found.add(Direction::Takes, words, Some(&gone.origin));
    }
}

fn mode(old: &Mediation, new: &Mediation, found: &mut Diff) {
    let value = |mediation: &Mediation| mediation.mode.as_ref().map_or(Mode::default(), |rule| rule.value);
    let (before, after) = (value(old), value(new));
    if before != after {
        let words = |mode| match mode {
            Mode::Audit => "audit (recorded only)",
            Mode::Permissive => "permissive (refused)",
            Mode::Strict => "strict (the agent is killed)",
        };
        let direction = if after < before { Direction::Grants } else { Direction::Takes };
        let words = format!("the answer to a forbidden act: {} → {}", words(before), words(after));
        found.add(direction, words, new.mode.as_ref().or(old.mode.as_ref()).map(|rule| &rule.origin));
    }
}

fn signals(old: &Mediation, new: &Mediation, found: &mut Diff) {
    let set = |mediation: &Mediation| {
        mediation.signals.as_ref().map(|rule| {
            let mut names = rule.value.clone();
            names.sort_unstable();
            names.dedup();
            names
        })
    };
    let (before, after) = (set(old), set(new));
    if before != after {
        let words = |names: Option<Vec<AnswerSignal>>| {
            let names = names.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
            names.unwrap_or_else(|| "all".to_owned())
        };
        let origin = new.signals.as_ref().or(old.signals.as_ref()).map(|rule| &rule.origin);
        let words = format!("the signals that the kernel may answer with: {} → {}", words(before), words(after));
        found.add(Direction::Alters, words, origin);
    }
}

fn answers(old: &Mediation, new: &Mediation, found: &mut Diff) {
    for ((key, before), (_, after)) in old.answers().into_iter().zip(new.answers()) {
        let value = |rule: Option<&crate::Rule<crate::Answer>>| rule.map(|rule| rule.value);
        let unwritten = match key {
            "budgets" | "loops" => "as usual",
            _ => "as the mode says",
        };
        let words = |rule| value(rule).map_or_else(|| unwritten.to_owned(), |answer| answer.to_string());
        let direction = match (value(before), value(after)) {
            (was, now) if was == now => continue,
            (Some(was), Some(now)) if now < was => Direction::Grants,
            (Some(_), Some(_)) => Direction::Takes,
            _ => Direction::Alters,
        };
        let origin = after.or(before).map(|rule| &rule.origin);
        found.add(direction, format!("on_violation.{key}: {} → {}", words(before), words(after)), origin);
    }
}

/// A registered action is there for the asking only if a rule allows it, and which program it is matters as much.
fn registered(before: Option<&RegisteredAction>, after: &RegisteredAction, found: &mut Diff) {
    let (name, origin) = (&after.name, Some(&after.origin));
    let command = |action: &RegisteredAction| action.command.join(" ");
    let Some(before) = before else {
        return found.add(Direction::Alters, format!("a new action {name}: {}", command(after)), origin);
    };
    if before.command != after.command {
        let words = format!("the command of {name}: {} → {}", command(before), command(after));
        found.add(Direction::Alters, words, origin);
    }
    if before.params != after.params {
        found.add(Direction::Alters, format!("the parameters of {name}"), origin);
    }
    if before.profile != after.profile {
        let profile = |action: &RegisteredAction| {
            action.profile.as_ref().map_or("the agent's policy".to_owned(), ToString::to_string)
        };
        let words = format!("what {name} runs under: {} → {}", profile(before), profile(after));
        found.add(Direction::Alters, words, origin);
    }
    if before.read_only != after.read_only {
        let (direction, words) = match after.read_only {
            true => (Direction::Grants, "counts as reading now"),
            false => (Direction::Takes, "counts as changing something now"),
        };
        found.add(direction, format!("{name} {words}"), origin);
    }
}
