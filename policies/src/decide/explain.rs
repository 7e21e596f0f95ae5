//! The decision again with everything that was considered: every rule in turn, and what became of it.

use std::fmt;

use crate::decide::compiled::{CompiledRule, Needs};
use crate::decide::decision::{DecidingRule, Decision, Reason};
use crate::decide::layer::{Layer, Part};
use crate::decide::request::AccessRequest;
use crate::decide::table::Table;
use crate::decide::tally::Tally;
use crate::decide::trie::RuleId;
use crate::mediation::{ActionPattern, Condition, Effect, Kind};
use crate::nearest::nearest;

/// A decision, and how each layer came to its part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'t> {
    /// What is decided.
    pub decision: Decision<'t>,
    /// What each layer answered, about each path.
    pub layers: Vec<LayerAnswer<'t>>,
    /// For a request that no layer was asked about: what it should have said.
    pub hint: Option<String>,
}

/// One layer's answer about one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerAnswer<'t> {
    /// The policy, file or built-in narrowing.
    pub layer: &'t str,
    /// Whether it grants; every other only takes away.
    pub grants: bool,
    /// The path, when the request has any.
    pub path: Option<String>,
    /// The answer. None: no opinion.
    pub answer: Option<(Effect, Reason)>,
    /// Every rule about the action, and what became of it.
    pub rules: Vec<Considered<'t>>,
}

/// A rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered<'t> {
    /// Which.
    pub rule: DecidingRule<'t>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It gave its layer's answer.
    Decided,
    /// It matched and says nothing against the answer; what comes with it counts.
    Agreed,
    /// It matched, and a rule that is stricter stood beside it.
    Outweighed,
    /// It is about `*`, and a rule that names the action matched.
    LessExact,
    /// This condition does not hold.
    NotMatched(Condition),
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided => f.write_str("decided"),
            Self::Agreed => f.write_str("matched too"),
            Self::Outweighed => f.write_str("lost to the stricter rule"),
            Self::LessExact => f.write_str("lost to a rule that names the action"),
            Self::NotMatched(condition) => write!(f, "did not match: `{}`", condition.key()),
        }
    }
}

impl Table {
    /// Decides as [`Table::decide`] does, by looking at every rule in turn, and says what became of each.
    #[must_use]
    pub fn explain(&self, request: &AccessRequest) -> Explanation<'_> {
        let kind = match self.kind(request) {
            Ok(kind) => kind,
            Err(reason) => {
                let hint = self.hint(request);
                return Explanation { decision: Decision::refused(reason), layers: Vec::new(), hint };
            }
        };
        let decision = self.over_layers(request, |layer, path| Looked::at(layer, request, kind, path).answer());
        let mut layers = Vec::new();
        for layer in &self.layers {
            let paths = request.paths.iter().map(|path| Some(path.as_bytes()));
            let none = request.paths.is_empty().then_some(None);
            layers.extend(paths.chain(none).map(|path| Looked::at(layer, request, kind, path).explained()));
        }
        Explanation { decision, layers, hint: None }
    }

    /// What a request should have said that is for no action, or for one that needs more.
    fn hint(&self, request: &AccessRequest) -> Option<String> {
        let known: Vec<_> = self.actions().collect();
        match known.iter().find(|(name, _)| *name == request.action) {
            Some((_, kind)) => {
                let name = match request.lacks(*kind)? {
                    Condition::Paths => "path",
                    Condition::Exec | Condition::Argv => "program",
                    Condition::Hosts => "host",
                    Condition::Ports => "port",
                    Condition::Methods => "method",
                    Condition::Databases => "database",
                    Condition::Statements => "statement",
                };
                Some(format!("`{}` needs a {name}", request.action))
            }
            None => {
                let near = nearest(request.action.as_str(), known.iter().map(|(name, _)| name.as_str()))?;
                Some(format!("did you mean `{near}`?"))
            }
        }
    }
}

/// One layer, looked through for one path of a request.
struct Looked<'t, 'r> {
    layer: &'t Layer,
    request: &'r AccessRequest,
    kind: Kind,
    path: Option<&'r [u8]>,
}

impl<'t, 'r> Looked<'t, 'r> {
    fn at(layer: &'t Layer, request: &'r AccessRequest, kind: Kind, path: Option<&'r [u8]>) -> Self {
        Self { layer, request, kind, path }
    }

    /// The rules about the action; `exact` those that name it, else those about `*`.
    fn rules(&self, exact: bool) -> impl Iterator<Item = (RuleId, &'t CompiledRule)> {
        let (action, kind) = (&self.request.action, self.kind);
        let about = move |rule: &CompiledRule| match &rule.action {
            ActionPattern::Named(name) => exact && name == action,
            ActionPattern::Any => !exact && kind != Kind::Network,
        };
        let met = Needs::met_by(self.kind);
        (0..).zip(&self.layer.rules).filter(move |(_, rule)| about(rule) && rule.is_about(met))
    }

    /// The matching rules that count, and whether they name the action.
    fn tally(&self) -> (Tally, bool) {
        for exact in [true, false] {
            let mut tally = Tally::default();
            for (id, rule) in self.rules(exact) {
                if rule.first_miss(self.request, self.path).is_none() {
                    tally.add(rule, id);
                }
            }
            if !tally.is_empty() {
                return (tally, exact);
            }
        }
        (Tally::default(), false)
    }

    fn answer(&self) -> Option<Decision<'t>> {
        let allows = |exact| self.rules(exact).any(|(_, rule)| rule.effect != Effect::Deny);
        let (tally, _) = self.tally();
        tally.decision((&self.layer.name, &self.layer.rules), self.request, self.kind).or_else(|| {
            match self.layer.part {
                Part::Grants => Some(Decision::refused(Reason::NothingGranted)),
                Part::Narrows if allows(true) || allows(false) => Some(Decision::refused(Reason::NotInLayer)),
                Part::Narrows => None,
            }
        })
    }

    fn explained(&self) -> LayerAnswer<'t> {
        let (tally, exact) = self.tally();
        let outcome = tally.outcome(self.request, self.kind);
        let fate =
            |id: RuleId, rule: &CompiledRule, named: bool| match (rule.first_miss(self.request, self.path), outcome) {
                (Some(condition), _) => Fate::NotMatched(condition),
                (None, _) if exact && !named => Fate::LessExact,
                (None, Some((_, _, decided))) if decided == id => Fate::Decided,
                (None, Some((effect, ..))) if rule.effect < effect => Fate::Outweighed,
                (None, _) => Fate::Agreed,
            };
        let named = self.rules(true).map(|(id, rule)| (id, rule, true));
        let all = named.chain(self.rules(false).map(|(id, rule)| (id, rule, false)));
        let considered =
            all.map(|(id, rule, named)| Considered { rule: rule.shown(&self.layer.name), fate: fate(id, rule, named) });
        LayerAnswer {
            layer: &self.layer.name,
            grants: self.layer.part == Part::Grants,
            path: self.path.map(|path| String::from_utf8_lossy(path).into_owned()),
            answer: self.answer().map(|decision| (decision.effect, decision.reason)),
            rules: considered.collect(),
        }
    }
}

impl<'t> Explanation<'t> {
    /// The rules that matched and count.
    pub(crate) fn matched(&self) -> impl Iterator<Item = DecidingRule<'t>> {
        let counts = |fate| matches!(fate, Fate::Decided | Fate::Agreed | Fate::Outweighed);
        let rules = self.layers.iter().flat_map(|layer| &layer.rules);
        rules.filter(move |considered| counts(considered.fate)).map(|considered| considered.rule)
    }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decision { effect, reason, rule, obligations } = &self.decision;
        writeln!(f, "{effect} ({reason}): {}", reason.sentence())?;
        if let Some(hint) = &self.hint {
            writeln!(f, "  {hint}")?;
        }
        if let Some(rule) = rule {
            writeln!(f, "  decided by {rule} of {}", rule.layer)?;
        }
        if obligations.read_only {
            writeln!(f, "  with read-only access")?;
        }
        for filter in obligations.filters.iter() {
            writeln!(f, "  with the filter {filter}")?;
        }
        if let Some(most) = obligations.max_bytes {
            writeln!(f, "  with at most {most}")?;
        }
        for budget in &obligations.budgets {
            let rate = budget.rate.map(|rate| rate.to_string());
            let words: Vec<String> =
                rate.into_iter().chain(budget.count.map(|count| format!("{count} in all"))).collect();
            writeln!(f, "  at most {} by {}", words.join(" and "), budget.rule.origin)?;
        }
        self.layers.iter().try_for_each(|layer| layer.fmt(f))
    }
}

impl fmt::Display for LayerAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.layer)?;
        if let Some(path) = &self.path {
            write!(f, " about {path}")?;
        }
        match self.answer {
            Some((effect, reason)) => writeln!(f, ": {effect} ({reason})")?,
            None => writeln!(f, ": no opinion")?,
        }
        for Considered { rule, fate } in &self.rules {
            writeln!(f, "  {}  {}: {fate}", rule.origin, rule.text)?;
        }
        Ok(())
    }
}
