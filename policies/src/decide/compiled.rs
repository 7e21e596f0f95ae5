//! One rule, ready to be compared with requests.

use crate::decide::decision::{DecidingRule, Filters};
use crate::decide::glob::{Glob, Name};
use crate::decide::request::AccessRequest;
use crate::mediation::{
    ActionPattern, ActionRule, Condition, Conditions, Effect, HostPattern, Kind, Method, NetworkRule, PathPattern,
    Port, Rate, Statement,
};
use crate::origin::Origin;
use crate::size::Size;
use crate::values::Values;

/// A rule with one agent's values in it.
#[derive(Clone, Debug)]
pub(crate) struct CompiledRule {
    pub(crate) action: ActionPattern,
    pub(crate) effect: Effect,
    pub(crate) read_only: bool,
    pub(crate) max_bytes: Option<Size>,
    pub(crate) rate: Option<Rate>,
    pub(crate) count: Option<u32>,
    pub(crate) filters: Filters,
    /// What it asks of a request; an action whose requests have no such thing is not meant.
    needs: Needs,
    pub(crate) paths: Option<Vec<Glob>>,
    pub(crate) exec: Option<Vec<Glob>>,
    pub(crate) argv: Option<(Vec<Name>, bool)>,
    pub(crate) hosts: Option<Vec<HostPattern>>,
    pub(crate) ports: Option<Vec<Port>>,
    methods: Option<Vec<Method>>,
    pub(crate) databases: Option<Vec<Name>>,
    statements: Option<Vec<Statement>>,
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// A set of conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Needs(u8);

impl Needs {
    const ALL: [Condition; 8] = [
        Condition::Paths,
        Condition::Exec,
        Condition::Argv,
        Condition::Hosts,
        Condition::Ports,
        Condition::Methods,
        Condition::Databases,
        Condition::Statements,
    ];

    fn of(has: impl Fn(Condition) -> bool) -> Self {
        Self(Self::ALL.into_iter().enumerate().fold(0, |set, (bit, one)| set | (u8::from(has(one)) << bit)))
    }

    /// What requests of this sort have.
    pub(crate) fn met_by(kind: Kind) -> Self {
        Self::of(|condition| kind.has(condition))
    }

    /// Whether all of these are among `others`.
    pub(crate) fn within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }
}

impl CompiledRule {
    pub(crate) fn new(rule: &ActionRule, values: &Values) -> Self {
        let conditions = &rule.conditions;
        let globs = |patterns: &Option<Vec<PathPattern>>| patterns.as_ref().map(|patterns| globs(patterns, values));
        let names = |patterns: &[crate::NamePattern]| patterns.iter().map(|name| Name::new(name.as_str())).collect();
        Self {
            action: rule.action.clone(),
            effect: rule.effect,
            read_only: rule.read_only,
            max_bytes: rule.max_bytes,
            rate: rule.rate,
            count: rule.count,
            filters: Filters::of(&rule.filters),
            needs: needs(conditions),
            paths: globs(&conditions.paths),
            exec: globs(&conditions.exec),
            argv: conditions.argv.as_ref().map(|argv| (names(&argv.words), argv.more)),
            hosts: conditions.hosts.clone(),
            ports: conditions.ports.clone(),
            methods: conditions.methods.clone(),
            databases: conditions.databases.as_ref().map(|patterns| names(patterns)),
            statements: conditions.statements.clone(),
            text: rule.to_string(),
            origin: rule.origin.clone(),
        }
    }

    /// A destination as a rule that allows connections.
    pub(crate) fn network(rule: &NetworkRule, name: &crate::ActionName) -> Self {
        let conditions = Conditions {
            hosts: Some(vec![rule.host.clone()]),
            ports: Some(rule.ports.clone()),
            methods: rule.methods.clone(),
            ..Conditions::default()
        };
        Self {
            action: ActionPattern::Named(name.clone()),
            effect: Effect::Allow,
            read_only: false,
            max_bytes: None,
            rate: None,
            count: None,
            filters: Filters::default(),
            needs: needs(&conditions),
            paths: None,
            exec: None,
            argv: None,
            hosts: conditions.hosts,
            ports: conditions.ports,
            methods: conditions.methods,
            databases: None,
            statements: None,
            text: rule.to_string(),
            origin: rule.origin.clone(),
        }
    }

    /// Whether it can be about a request of this sort at all.
    pub(crate) fn is_about(&self, met: Needs) -> bool {
        self.needs.within(met)
    }

    /// Whether it is about this action.
    pub(crate) fn means(&self, name: &crate::ActionName, kind: Kind) -> bool {
        let named = match &self.action {
            ActionPattern::Named(own) => own == name,
            ActionPattern::Any => kind != Kind::Network,
        };
        named && self.is_about(Needs::met_by(kind))
    }

    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    pub(crate) fn shown<'t>(&'t self, layer: &'t str) -> DecidingRule<'t> {
        DecidingRule { layer, text: &self.text, origin: &self.origin }
    }

    /// Every condition in turn: the first that does not hold.
    pub(crate) fn first_miss(&self, request: &AccessRequest, path: Option<&[u8]>) -> Option<Condition> {
        let any = |globs: &[Glob], path: &[u8]| globs.iter().any(|glob| glob.matches(path));
        let misses = |patterns: &Option<Vec<Glob>>, path: Option<&[u8]>| {
            patterns.as_ref().is_some_and(|globs| !path.is_some_and(|path| any(globs, path)))
        };
        let host = request.host.as_ref().map(|host| host.as_str());
        let host = |hosts: &Vec<HostPattern>| !host.is_some_and(|host| hosts.iter().any(|known| known.matches(host)));
        let database = request.database.as_ref().map(String::as_bytes);
        let database =
            |names: &Vec<Name>| !database.is_some_and(|database| names.iter().any(|name| name.matches(database)));
        if misses(&self.paths, path) {
            Some(Condition::Paths)
        } else if misses(&self.exec, request.program.as_ref().map(|program| program.as_bytes())) {
            Some(Condition::Exec)
        } else if self.hosts.as_ref().is_some_and(host) {
            Some(Condition::Hosts)
        } else if self.databases.as_ref().is_some_and(database) {
            Some(Condition::Databases)
        } else {
            self.cheap_miss(request)
        }
    }

    /// The first that does not hold of the conditions that need no pattern of paths or hosts.
    pub(crate) fn cheap_miss(&self, request: &AccessRequest) -> Option<Condition> {
        let absent = |known: bool, condition| (!known).then_some(condition);
        let argv =
            self.argv.as_ref().and_then(|(words, more)| absent(fits(words, *more, &request.argv), Condition::Argv));
        argv.or_else(|| {
            let ports = self.ports.as_ref()?;
            absent(ports.iter().any(|port| Some(port.number()) == request.port), Condition::Ports)
        })
        .or_else(|| {
            let methods = self.methods.as_ref()?;
            absent(methods.iter().any(|method| Some(*method) == request.method), Condition::Methods)
        })
        .or_else(|| {
            let statements = self.statements.as_ref()?;
            absent(statements.iter().any(|known| Some(*known) == request.statement), Condition::Statements)
        })
    }
}

fn needs(conditions: &Conditions) -> Needs {
    Needs::of(|condition| conditions.stated().any(|(stated, _)| stated == condition))
}

/// The patterns with the agent's values; one that names a workspace, where there is none, means no path.
fn globs(patterns: &[PathPattern], values: &Values) -> Vec<Glob> {
    patterns.iter().filter_map(|pattern| values.pattern(pattern.template())).map(|text| Glob::new(&text)).collect()
}

fn fits(words: &[Name], more: bool, argv: &[String]) -> bool {
    let long_enough = if more { argv.len() >= words.len() } else { argv.len() == words.len() };
    long_enough && words.iter().zip(argv).all(|(word, argument)| word.matches(argument.as_bytes()))
}
