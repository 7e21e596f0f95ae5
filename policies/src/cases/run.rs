//! Every case against the policy.

use std::collections::BTreeSet;
use std::path::Path;

use crate::bind::{BindError, Bound};
use crate::cases::entry::Entry;
use crate::cases::report::{CaseFailure, CaseReport};
use crate::cases::table::{CaseTable, Seen, ViewEntry};
use crate::decide::{Decision, Reason, RequestError, Table};
use crate::effective::Effective;
use crate::mediation::Effect;
use crate::origin::Origin;
use crate::paths::at_or_beneath;
use crate::schema::Access;
use crate::values::Values;

/// Why a table of cases cannot be tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// The variables of the table do not fit the policy.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A case asks about what no request can be about.
    #[error("{origin}: {source}")]
    Request {
        /// The case.
        origin: Origin,
        /// What is wrong with it.
        source: RequestError,
    },
}

impl CaseTable {
    /// Decides every case and looks up every view.
    ///
    /// ```
    /// # use policies::{CaseTable, Shipped, parse, resolve};
    /// let policy = resolve(&parse("p.yaml", "extends: [base]\npolicies: [{action: file_read, paths: [/data/**]}]")?, &Shipped)?;
    /// let cases = "cases:\n  - {action: file_read, path: /data/x, expect: allow}\nviews:\n  - {path: /usr/bin/env, access: read}\n";
    /// assert!(CaseTable::read("p.cases.yaml", cases)?.run(&policy)?.failures.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The table's variables do not fit the policy, or a case asks about a path that no request can have.
    pub fn run(&self, policy: &Effective) -> Result<CaseReport, CaseError> {
        let variables = self.variables();
        let values = Values::of(&variables)?;
        let table = Table::compile(policy, &variables, &[])?;
        let mut report = CaseReport::default();
        let mut decided: BTreeSet<String> = BTreeSet::new();
        for (origin, entry) in self.cases() {
            let request = |source| CaseError::Request { origin: origin.clone(), source };
            let request = entry.request(&values).map_err(request)?;
            let narrowed = entry.layers().fold(table.clone(), |table, layer| table.narrowed(layer));
            let explanation = narrowed.explain(&request);
            decided.extend(explanation.matched().map(|rule| rule.text.to_owned()));
            let words = asked(entry);
            let wrong = objection(entry, &explanation.decision);
            report.add(wrong.map(|got| CaseFailure { origin, words, got, explanation: explanation.to_string() }));
        }
        let bound = if self.views().next().is_some() { Some(policy.bind(&variables)?) } else { None };
        for ((origin, view), bound) in self.views().zip(bound.iter().cycle()) {
            let no_path = || RequestError::NoWorkspace(view.path.0.to_string());
            let path = values.expand(&view.path.0).ok_or_else(no_path);
            let path = path.map_err(|source| CaseError::Request { origin: origin.clone(), source })?;
            let words = format!("view of {}: {}", view.path.0, expected(view));
            let explanation = bound.rule_for(Path::new(&path)).map(|rule| format!("  decided by {}\n", rule.origin));
            report.add(seen(view, bound, Path::new(&path)).map(|got| CaseFailure {
                origin,
                words,
                got,
                explanation: explanation.unwrap_or_else(|| "  no rule covers it\n".to_owned()),
            }));
        }
        let rules = policy.mediation.rules.iter().filter(|rule| !decided.contains(&rule.to_string()));
        report.untried = rules.map(|rule| format!("{rule} ({})", rule.origin)).collect();
        Ok(report)
    }
}

/// The case in one line.
fn asked(entry: &Entry) -> String {
    let mut words = entry.action.to_string();
    let mut add = |word: Option<String>| {
        if let Some(word) = word {
            words.push(' ');
            words.push_str(&word);
        }
    };
    entry.path.iter().chain(&entry.paths).chain(&entry.program).for_each(|path| add(Some(path.0.to_string())));
    entry.argv.iter().for_each(|word| add(Some(word.0.clone())));
    add(entry.host.as_ref().map(|host| host.0.as_str().to_owned()));
    add(entry.port.map(|port| port.to_string()));
    add(entry.method.map(|method| method.to_string()));
    add(entry.database.as_ref().map(|name| name.0.clone()));
    add(entry.statement.map(|statement| statement.to_string()));
    add(entry.size.map(|size| size.to_string()));
    entry.layers().for_each(|layer| add(Some(format!("under {}", layer.name()))));
    let expected = entry.expect.unwrap_or(Effect::Deny);
    let reason = entry.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{words}: {expected}{reason}")
}

/// What was answered, if it is not what the case expects.
fn objection(entry: &Entry, decision: &Decision<'_>) -> Option<String> {
    let got = format!("{} ({})", decision.effect, decision.reason);
    // A misspelt action or a forgotten key is refused as well, and proves nothing about the policy.
    let malformed = matches!(decision.reason, Reason::UnknownAction | Reason::IncompleteRequest);
    if malformed && entry.reason != Some(decision.reason) {
        return Some(format!("{got}: {}", decision.reason.sentence()));
    }
    let effect = entry.expect.is_some_and(|expected| expected != decision.effect);
    let reason = entry.reason.is_some_and(|expected| expected != decision.reason);
    (effect || reason).then_some(got)
}

fn expected(view: &ViewEntry) -> String {
    let exec = view.exec.map(|flag| if flag.0 { ", executable" } else { ", not executable" });
    format!("{}{}", view.access.word(), exec.unwrap_or_default())
}

/// What the agent sees there, if it is not what the view expects.
fn seen(view: &ViewEntry, bound: &Bound, path: &Path) -> Option<String> {
    let rule = bound.rule_for(path);
    let access = match rule.map(|rule| rule.access) {
        None => Seen::Absent,
        Some(Access::None) => Seen::None,
        Some(Access::Read) => Seen::Read,
        Some(Access::Write) => Seen::Write,
    };
    let exec = rule.is_some_and(|rule| rule.exec) && bound.exec.iter().any(|top| at_or_beneath(path, top));
    let words = if exec { "executable" } else { "not executable" };
    let differs = access != view.access || view.exec.is_some_and(|expected| expected.0 != exec);
    differs.then(|| format!("{}, {words}", access.word()))
}
