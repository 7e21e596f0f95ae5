//! Requests that were decided and denied.

use crate::decide::{AccessRequest, Decision, Reason, RequestPath, Table};
use crate::mediation::{
    ActionPattern, ActionRule, Argv, Conditions, Effect, HostPattern, Kind, NamePattern, NetworkRule, PathPattern,
    Port, Statement,
};
use crate::origin::Origin;
use crate::suggest::files::template;
use crate::suggest::patch::Section;
use crate::template::Variables;

/// What a policy and the base say of requests.
pub(crate) struct Requests<'a> {
    pub(crate) policy: Table,
    pub(crate) base: Table,
    pub(crate) variables: &'a Variables,
}

impl Requests<'_> {
    /// The line that would have allowed it, or why there is none.
    pub(crate) fn suggest(&self, request: &AccessRequest) -> Result<Vec<(Section, String)>, String> {
        let forbidden = self.base.decide(request);
        if let (Reason::DeniedByRule, Some(rule)) = (forbidden.reason, forbidden.rule) {
            return Err(format!("`{}` forbids it: {rule}", rule.layer));
        }
        let decision = self.policy.decide(request);
        if decision.effect != Effect::Deny {
            return Err(
                "the operator's policy grants it: a file of the agent's or the request itself narrowed it".to_owned()
            );
        }
        grantable(&decision)?;
        let kind = self.policy.kind(request).map_err(|reason| reason.sentence().to_owned())?;
        if kind == Kind::Network {
            return Ok(vec![(Section::Network, network(request)?)]);
        }
        Ok(vec![(Section::Policies, self.rule(request, kind)?)])
    }

    fn rule(&self, request: &AccessRequest, kind: Kind) -> Result<String, String> {
        let pattern = |path: &RequestPath| self.pattern(path);
        let mut conditions = Conditions::default();
        if !request.paths.is_empty() && kind.has(crate::Condition::Paths) {
            conditions.paths = Some(request.paths.iter().map(pattern).collect::<Result<_, _>>()?);
        }
        if kind == Kind::ProcessExec {
            conditions.exec = request.program.as_ref().map(pattern).transpose()?.map(|program| vec![program]);
            let words = request.argv.iter().map(|word| name(word)).collect::<Result<_, _>>()?;
            conditions.argv = Some(Argv { words, more: false });
        }
        if kind == Kind::HttpRequest {
            let (host, port) = destination(request)?;
            (conditions.hosts, conditions.ports) = (Some(vec![host]), Some(vec![port]));
            conditions.methods = request.method.map(|method| vec![method]);
        }
        let reads = request.statement == Some(Statement::Read);
        if kind == Kind::DatabaseQuery {
            conditions.databases = request.database.as_deref().map(name).transpose()?.map(|name| vec![name]);
            conditions.statements = (!reads).then_some(vec![Statement::Write]);
        }
        let rule = ActionRule {
            action: ActionPattern::Named(request.action.clone()),
            effect: Effect::Allow,
            conditions,
            read_only: kind == Kind::DatabaseQuery && reads,
            max_bytes: None,
            rate: None,
            count: None,
            filters: Vec::new(),
            origin: nowhere(),
        };
        Ok(rule.to_string())
    }

    fn pattern(&self, path: &RequestPath) -> Result<PathPattern, String> {
        let text = std::str::from_utf8(path.as_bytes());
        let text = text.map_err(|_| "its path is not UTF-8 text, which no pattern can name".to_owned())?;
        let text = template(text, self.variables);
        let (variable, rest) =
            text.split_at(if text.starts_with("${") { text.find('}').map_or(0, |end| end + 1) } else { 0 });
        format!("{variable}{}", literal(rest)).parse().map_err(|error| format!("{error}"))
    }
}

/// Whether a further rule that allows would change the answer.
fn grantable(decision: &Decision<'_>) -> Result<(), String> {
    match (decision.reason, decision.rule) {
        (Reason::NothingGranted, _) => Ok(()),
        // A rule about every action gives way to one that names it; that is what it is there for.
        (Reason::DeniedByRule, Some(rule)) if rule.text.starts_with("{action: \"*\"") => Ok(()),
        (reason, Some(rule)) => Err(format!("{}: {rule}", reason.sentence())),
        (reason, None) => Err(reason.sentence().to_owned()),
    }
}

fn destination(request: &AccessRequest) -> Result<(HostPattern, Port), String> {
    let host = request.host.as_ref().ok_or("the request names no host")?;
    let host = host.as_str().parse().map_err(|error| format!("{error}"))?;
    let port = request.port.ok_or("the request names no port")?;
    Ok((host, port.to_string().parse().map_err(|error| format!("{error}"))?))
}

fn network(request: &AccessRequest) -> Result<String, String> {
    let (host, port) = destination(request)?;
    let methods = request.method.map(|method| vec![method]);
    Ok(NetworkRule { host, ports: vec![port], methods, origin: nowhere() }.to_string())
}

/// A name as a pattern of itself. The few characters that a pattern cannot say become `?`, one character.
fn name(text: &str) -> Result<NamePattern, String> {
    literal(text).parse().map_err(|error| format!("{error}"))
}

fn literal(text: &str) -> String {
    text.chars().map(|c| if "*?[]{}\\".contains(c) { '?' } else { c }).collect()
}

/// A suggested rule stands in no file yet.
fn nowhere() -> Origin {
    Origin { file: "".into(), line: 0 }
}
