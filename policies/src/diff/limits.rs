//! Limits, by what they bound.

use std::cmp::Ordering;
use std::fmt;

use crate::diff::{Diff, Direction, towards};
use crate::effective::Limits;
use crate::mediation::Rate;
use crate::origin::Rule;

pub(crate) fn compare(old: &Limits, new: &Limits, found: &mut Diff) {
    bound("memory", (Some(&old.memory), Some(&new.memory)), found);
    bound("pids", (Some(&old.pids), Some(&new.pids)), found);
    bound("files", (Some(&old.files), Some(&new.files)), found);
    bound("cpu", (old.cpu.as_ref(), new.cpu.as_ref()), found);
    bound("wall", (old.wall.as_ref(), new.wall.as_ref()), found);
    bound("output", (old.output.as_ref(), new.output.as_ref()), found);
    bound("file_size", (old.file_size.as_ref(), new.file_size.as_ref()), found);
    bound("cpu_time", (old.cpu_time.as_ref(), new.cpu_time.as_ref()), found);
    bound("actions", (old.actions.as_ref(), new.actions.as_ref()), found);
    compared("action_rate", (old.action_rate.as_ref(), new.action_rate.as_ref()), rates, found);
    bound("repeats", (old.repeats.as_ref(), new.repeats.as_ref()), found);
}

type Both<'a, T> = (Option<&'a Rule<T>>, Option<&'a Rule<T>>);

/// A limit; none is more than any.
fn bound<T: Ord + fmt::Display>(key: &str, rules: Both<'_, T>, found: &mut Diff) {
    compared(key, rules, |before, after| towards(before, after), found);
}

fn compared<T: Eq + fmt::Display>(
    key: &str,
    rules: Both<'_, T>,
    towards: impl Fn(&T, &T) -> Direction,
    found: &mut Diff,
) {
    let origin = rules.1.or(rules.0).map(|rule| &rule.origin);
    let words = |rule: Option<&Rule<T>>| rule.map_or_else(|| "no limit".to_owned(), |rule| rule.value.to_string());
    let direction = match rules {
        (Some(before), Some(after)) if before.value == after.value => return,
        (None, None) => return,
        (Some(before), Some(after)) => towards(&before.value, &after.value),
        (Some(_), None) => Direction::Grants,
        (None, Some(_)) => Direction::Takes,
    };
    found.add(direction, format!("{key}: {} → {}", words(rules.0), words(rules.1)), origin);
}

/// By what they come to in the long run. A longer while allows more at once, so with equal ones it cannot be said.
fn rates(before: &Rate, after: &Rate) -> Direction {
    let cross = |one: &Rate, other: &Rate| u64::from(one.times()) * u64::from(other.seconds());
    match cross(after, before).cmp(&cross(before, after)) {
        Ordering::Greater => Direction::Grants,
        Ordering::Less => Direction::Takes,
        Ordering::Equal => Direction::Alters,
    }
}
