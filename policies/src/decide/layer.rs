//! One layer of a table: its rules, sorted and indexed.

use std::collections::HashMap;

use crate::decide::compiled::{CompiledRule, Needs};
use crate::decide::decision::{Decision, Reason};
use crate::decide::index::Index;
use crate::decide::request::AccessRequest;
use crate::decide::tally::Tally;
use crate::decide::trie::RuleId;
use crate::mediation::{ActionName, ActionPattern, Kind};

/// Whether a layer grants or only takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The operator's: what it does not allow is refused.
    Grants,
    /// Any other: of actions that it says nothing about it has no opinion.
    Narrows,
}

/// A layer, ready to answer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) part: Part,
    /// Sorted by their texts, each once.
    pub(crate) rules: Vec<CompiledRule>,
    named: HashMap<ActionName, Index>,
    any: Index,
}

impl Layer {
    pub(crate) fn new(name: &str, part: Part, mut rules: Vec<CompiledRule>) -> Self {
        // Stable: of rules that say the same, the first file's stays.
        rules.sort_by(|a, b| a.text.cmp(&b.text));
        rules.dedup_by(|next, kept| next.text == kept.text && next.action == kept.action);
        let (mut named, mut any) = (HashMap::<ActionName, Index>::new(), Index::default());
        for (rule, id) in rules.iter().zip(0..) {
            match &rule.action {
                ActionPattern::Named(name) => named.entry(name.clone()).or_default().insert(rule, id),
                ActionPattern::Any => any.insert(rule, id),
            }
        }
        Self { name: name.to_owned(), part, rules, named, any }
    }

    /// The layer's answer about one path of a request; none if it has no opinion.
    pub(crate) fn answer(&self, request: &AccessRequest, kind: Kind, path: Option<&[u8]>) -> Option<Decision<'_>> {
        let mut tally = Tally::default();
        self.matching((request, path), kind, |id, rule| tally.add(rule, id));
        let opinion = || match self.part {
            Part::Grants => Some(Decision::refused(Reason::NothingGranted)),
            Part::Narrows => {
                let met = Needs::met_by(kind);
                let allows = self.indices(&request.action, kind).any(|index| index.allows_something(met));
                allows.then(|| Decision::refused(Reason::NotInLayer))
            }
        };
        tally.decision((&self.name, &self.rules), request, kind).or_else(opinion)
    }

    /// Calls `found` with the matching rules that count; with some of them more than once.
    pub(crate) fn matching<'l>(
        &'l self,
        (request, path): (&AccessRequest, Option<&[u8]>),
        kind: Kind,
        mut found: impl FnMut(RuleId, &'l CompiledRule),
    ) {
        let met = Needs::met_by(kind);
        let mut none = true;
        for index in self.indices(&request.action, kind) {
            index.visit(request, path, |id| {
                let rule = self.rule(id);
                if rule.is_about(met) && rule.cheap_miss(request).is_none() {
                    none = false;
                    found(id, rule);
                }
            });
            if !none {
                break;
            }
        }
    }

    /// The rules that name the action, then those about all.
    fn indices(&self, action: &ActionName, kind: Kind) -> impl Iterator<Item = &Index> {
        // What `network` says is about no action, so `*` does not mean it.
        let any = (kind != Kind::Network).then_some(&self.any);
        self.named.get(action).into_iter().chain(any)
    }

    pub(crate) fn rule(&self, id: RuleId) -> &CompiledRule {
        &self.rules[usize::try_from(id).unwrap_or(usize::MAX)]
    }
}
