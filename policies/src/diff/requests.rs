//! Rules about actions and destinations that came or went, and what both policies answer to requests that they match.

mod tried;

use std::collections::BTreeSet;

use crate::bind::BindError;
use crate::decide::{AccessRequest, Budget, Decision, Obligations, Table};
use crate::diff::requests::tried::{Tried, in_words};
use crate::diff::{Diff, Direction, words};
use crate::effective::Effective;
use crate::mediation::Effect;
use crate::origin::Origin;
use crate::template::Variables;

/// A rule that stands in one of the policies only.
struct Lone<'a> {
    text: String,
    words: String,
    came: bool,
    denies: bool,
    origin: &'a Origin,
}

pub(crate) fn compare(old: &Effective, new: &Effective, agent: &Variables, found: &mut Diff) -> Result<(), BindError> {
    let lone = lone(old, new);
    if lone.is_empty() {
        return Ok(());
    }
    let (before, after) = (Table::compile(old, agent, &[])?, Table::compile(new, agent, &[])?);
    let tried = Tried::of(&[&before, &after]);
    for rule in lone {
        let table = if rule.came { &after } else { &before };
        let (mut grants, mut takes) = (None, None);
        for request in tried.matching(table, &rule.text) {
            let (was, now) = (before.decide(&request), after.decide(&request));
            let (more, less) = compared(&was, &now);
            if more && grants.is_none() {
                grants = Some(example(&request, &was, &now));
            }
            if less && takes.is_none() {
                takes = Some(example(&request, &was, &now));
            }
        }
        let verb = match (rule.came, rule.denies) {
            (true, false) => "a rule that allows",
            (true, true) => "a rule that denies",
            (false, false) => "no more rule that allows",
            (false, true) => "no more rule that denies",
        };
        let mut add = |direction, example: &str| {
            found.add(direction, format!("{verb} {}: {example}", rule.words), Some(rule.origin));
        };
        if grants.is_none() && takes.is_none() {
            add(Direction::Alters, "no answer to what was tried is another");
        }
        grants.iter().for_each(|example| add(Direction::Grants, example));
        takes.iter().for_each(|example| add(Direction::Takes, example));
    }
    Ok(())
}

fn lone<'a>(old: &'a Effective, new: &'a Effective) -> Vec<Lone<'a>> {
    let rules = |policy: &'a Effective, came| {
        let actions = policy.mediation.rules.iter().map(move |rule| Lone {
            text: rule.to_string(),
            words: words::rule(rule),
            came,
            denies: rule.effect == Effect::Deny,
            origin: &rule.origin,
        });
        let network = policy.mediation.network.iter().map(move |rule| Lone {
            text: rule.to_string(),
            words: words::network(rule),
            came,
            denies: false,
            origin: &rule.origin,
        });
        actions.chain(network).collect::<Vec<_>>()
    };
    let (before, after) = (rules(old, false), rules(new, true));
    let texts = |rules: &[Lone<'_>]| rules.iter().map(|rule| rule.text.clone()).collect::<BTreeSet<_>>();
    let (known_before, known_after) = (texts(&before), texts(&after));
    let came = after.into_iter().filter(|rule| !known_before.contains(&rule.text));
    let went = before.into_iter().filter(|rule| !known_after.contains(&rule.text));
    came.chain(went).collect()
}

/// Whether the answer allows something that it did not, and whether it no longer allows something; at times both.
fn compared(was: &Decision<'_>, now: &Decision<'_>) -> (bool, bool) {
    if was.effect != now.effect || now.effect == Effect::Deny {
        return (now.effect < was.effect, now.effect > was.effect);
    }
    (!within(&now.obligations, &was.obligations), !within(&was.obligations, &now.obligations))
}

/// Whether all that `strict` allows, `loose` allows too.
fn within(strict: &Obligations<'_>, loose: &Obligations<'_>) -> bool {
    let bound = |budget: &Budget<'_>| (budget.rate, budget.count);
    (strict.read_only || !loose.read_only)
        && strict.filters.union(loose.filters) == strict.filters
        && loose.max_bytes.is_none_or(|most| strict.max_bytes.is_some_and(|bytes| bytes <= most))
        && loose.budgets.iter().all(|budget| strict.budgets.iter().any(|own| bound(own) == bound(budget)))
}

fn example(request: &AccessRequest, was: &Decision<'_>, now: &Decision<'_>) -> String {
    let answer = |decision: &Decision<'_>| match decision.effect {
        Effect::Deny => format!("denied ({})", decision.reason),
        Effect::Allow => format!("allowed{}", obligations(&decision.obligations)),
        Effect::RequireApproval => format!("for a person to approve{}", obligations(&decision.obligations)),
    };
    format!("{} was {}, is {}", in_words(request), answer(was), answer(now))
}

fn obligations(obligations: &Obligations<'_>) -> String {
    let mut words = Vec::new();
    words.extend(obligations.read_only.then(|| "read-only".to_owned()));
    words.extend(obligations.filters.iter().map(|filter| format!("without {filter}")));
    words.extend(obligations.max_bytes.map(|bytes| format!("up to {bytes}")));
    for budget in &obligations.budgets {
        words.extend(budget.rate.map(|rate| format!("{rate}")));
        words.extend(budget.count.map(|count| format!("{count} in all")));
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}
