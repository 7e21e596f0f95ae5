//! The rules of a policy as policies of Cedar.
//!
//! One set of Cedar policies a layer. A request is asked about twice: may it be done at all (`do`), and may it be done
//! without a person (`alone`). Rules that deny, or want a person, forbid; Cedar's "forbid wins" is then what this language
//! means by "deny beats approval beats allow". That an exact action beats `*` is written out: a rule about `*` holds for
//! an action unless a rule that names it matches.
//!
//! Paths are handed over as their components from both ends, because `like` knows no component. Patterns with `?` or with
//! two `**` are not exported.

mod condition;

use std::fmt::Write as _;

use condition::condition;
use policies::{ActionPattern, ActionRule, Conditions, Effect, Kind, NetworkRule};

/// The actions that are exported, with their sorts.
pub fn actions() -> impl Iterator<Item = (&'static str, Kind)> {
    Kind::BUILT_IN.into_iter().chain([("network_connect", Kind::Network)])
}

/// Whether the rules are those of the operator, which grant, or of a layer that narrows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// What is not allowed is denied.
    Grants,
    /// An action of which nothing is allowed is none of its business.
    Narrows,
}

/// The text of the Cedar policies; nothing if a rule cannot be exported.
pub fn export(layer: Layer, rules: &[ActionRule], network: &[NetworkRule]) -> Option<String> {
    let mut text = String::new();
    for (name, kind) in actions() {
        let network: Vec<ActionRule> =
            if kind == Kind::Network { network.iter().map(as_rule).collect() } else { vec![] };
        let about = |rule: &&ActionRule| rule.conditions.stated().all(|(condition, _)| kind.has(condition));
        let named = |rule: &&ActionRule| matches!(&rule.action, ActionPattern::Named(own) if own.as_str() == name);
        let exact: Vec<&ActionRule> = rules.iter().filter(named).chain(&network).filter(about).collect();
        let any = |rule: &&ActionRule| rule.action == ActionPattern::Any && kind != Kind::Network;
        let any: Vec<&ActionRule> = rules.iter().filter(any).filter(about).collect();
        let of = |rule: &ActionRule| condition(&rule.conditions, kind);
        let exactly = exact.iter().map(|rule| of(rule)).collect::<Option<Vec<_>>>()?.join(" || ");
        for rule in &exact {
            write_rule(&mut text, (name, ""), rule, &of(rule)?);
        }
        for rule in &any {
            write_rule(&mut text, (name, &exactly), rule, &of(rule)?);
        }
        let allows = exact.iter().chain(&any).any(|rule| rule.effect != Effect::Deny);
        if layer == Layer::Narrows && !allows {
            let scope = scope(name, &["do", "alone"]);
            writeln!(text, "permit({scope});").expect("a string takes all");
        }
    }
    Some(text)
}

fn as_rule(rule: &NetworkRule) -> ActionRule {
    ActionRule {
        action: ActionPattern::Any,
        effect: Effect::Allow,
        conditions: Conditions {
            hosts: Some(vec![rule.host.clone()]),
            ports: Some(rule.ports.clone()),
            methods: rule.methods.clone(),
            ..Conditions::default()
        },
        read_only: false,
        max_bytes: None,
        rate: None,
        count: None,
        filters: Vec::new(),
        origin: rule.origin.clone(),
    }
}

fn scope(action: &str, asked: &[&str]) -> String {
    let actions: Vec<String> = asked.iter().map(|asked| format!("Action::\"{action}/{asked}\"")).collect();
    format!("principal, action in [{}], resource", actions.join(", "))
}

/// One rule about one action; `unless` is the condition under which rules that name the action match.
fn write_rule(text: &mut String, (action, unless): (&str, &str), rule: &ActionRule, holds: &str) {
    let unless = if unless.is_empty() { String::new() } else { format!(" unless {{ {unless} }}") };
    let mut policy = |effect: &str, asked: &[&str], further: &str| {
        let scope = scope(action, asked);
        writeln!(text, "{effect}({scope}) when {{ ({holds}){further} }}{unless};").expect("a string takes all");
    };
    match rule.effect {
        Effect::Deny => return policy("forbid", &["do", "alone"], ""),
        Effect::RequireApproval => {
            policy("permit", &["do"], "");
            policy("forbid", &["alone"], "");
        }
        Effect::Allow => policy("permit", &["do", "alone"], ""),
    }
    if rule.read_only {
        policy("forbid", &["do", "alone"], " && context.changes");
    }
    if let Some(most) = rule.max_bytes {
        policy("forbid", &["do", "alone"], &format!(" && context.size > {}", most.bytes()));
    }
}
