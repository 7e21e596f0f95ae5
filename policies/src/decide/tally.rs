//! The matching rules of one layer, as they are counted up into that layer's answer.

use crate::decide::compiled::CompiledRule;
use crate::decide::decision::{Budget, Decision, Filters, Obligations, Reason};
use crate::decide::request::AccessRequest;
use crate::decide::trie::RuleId;
use crate::mediation::{Effect, Kind};
use crate::size::Size;

/// What has matched so far. Of equal rules the one with the smallest id counts, and ids follow the rules' texts, so that
/// the order in which they are found, or stood in the file, changes nothing.
#[derive(Default)]
pub(crate) struct Tally {
    deny: Option<RuleId>,
    approval: Option<RuleId>,
    allow: Option<RuleId>,
    read_only: Option<RuleId>,
    max_bytes: Option<(Size, RuleId)>,
    filters: Filters,
    budgets: Vec<RuleId>,
}

impl Tally {
    pub(crate) fn add(&mut self, rule: &CompiledRule, id: RuleId) {
        let first = |slot: &mut Option<RuleId>| *slot = Some(slot.map_or(id, |known| known.min(id)));
        match rule.effect {
            Effect::Deny => return first(&mut self.deny),
            Effect::RequireApproval => first(&mut self.approval),
            Effect::Allow => first(&mut self.allow),
        }
        if rule.read_only {
            first(&mut self.read_only);
        }
        if let Some(bytes) = rule.max_bytes {
            self.max_bytes = self.max_bytes.into_iter().chain([(bytes, id)]).min();
        }
        self.filters = self.filters.union(rule.filters);
        if (rule.rate.is_some() || rule.count.is_some()) && !self.budgets.contains(&id) {
            self.budgets.push(id);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deny.is_none() && self.approval.is_none() && self.allow.is_none()
    }

    /// The layer's answer, and the rule that gave it; nothing if no rule has matched.
    pub(crate) fn outcome(&self, request: &AccessRequest, kind: Kind) -> Option<(Effect, Reason, RuleId)> {
        if let Some(id) = self.deny {
            return Some((Effect::Deny, Reason::DeniedByRule, id));
        }
        if let Some(id) = self.read_only.filter(|_| request.changes(kind)) {
            return Some((Effect::Deny, Reason::ReadOnly, id));
        }
        if let (Some((most, id)), Some(size)) = (self.max_bytes, request.size)
            && size > most
        {
            return Some((Effect::Deny, Reason::TooLarge, id));
        }
        let approval = self.approval.map(|id| (Effect::RequireApproval, Reason::ApprovalRequired, id));
        approval.or(self.allow.map(|id| (Effect::Allow, Reason::Granted, id)))
    }

    /// The answer as a decision.
    pub(crate) fn decision<'t>(
        mut self,
        rules: (&'t str, &'t [CompiledRule]),
        request: &AccessRequest,
        kind: Kind,
    ) -> Option<Decision<'t>> {
        let (layer, rules) = rules;
        let rule = |id: RuleId| &rules[usize::try_from(id).unwrap_or(usize::MAX)];
        let (effect, reason, id) = self.outcome(request, kind)?;
        self.budgets.sort_unstable();
        let budget = |id: &RuleId| {
            let rule = rule(*id);
            Budget { rule: rule.shown(layer), rate: rule.rate, count: rule.count }
        };
        let obligations = Obligations {
            read_only: self.read_only.is_some(),
            filters: self.filters,
            max_bytes: self.max_bytes.map(|(bytes, _)| bytes),
            budgets: self.budgets.iter().map(budget).collect(),
        };
        let mut decision = Decision { effect, reason, rule: Some(rule(id).shown(layer)), obligations };
        if effect == Effect::Deny {
            decision.obligations = Obligations::default();
        }
        Some(decision)
    }
}
