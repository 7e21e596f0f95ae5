//! The requests that are tried: for every pattern of either policy a value that it matches, combined.
//!
//! They are no proof, and need not be: a rule that came or went is listed whatever they answer. They say which way it
//! goes, and give the reader an example.

use std::collections::BTreeSet;

use crate::decide::{AccessRequest, RequestHost, RequestPath, Table};
use crate::diff::written;
use crate::mediation::{ActionName, Condition, Kind, Method, Statement};

/// Most requests of one sort.
const MOST: usize = 4096;
/// A name that no rule is likely to write out.
const ANY: &str = "any";

/// The values that are combined.
pub(crate) struct Tried {
    paths: Vec<RequestPath>,
    hosts: Vec<RequestHost>,
    ports: Vec<u16>,
    databases: Vec<String>,
    argvs: Vec<Vec<String>>,
    actions: Vec<(ActionName, Kind)>,
}

impl Tried {
    /// The values that the rules of these tables speak of, and one of each that none does.
    pub(crate) fn of(tables: &[&Table]) -> Self {
        let nowhere = format!("/{ANY}/thing");
        let mut paths = BTreeSet::from([nowhere.clone()]);
        let mut hosts = BTreeSet::from(["any.example".to_owned()]);
        let mut ports = BTreeSet::from([443, 61_234]);
        let mut databases = BTreeSet::from([ANY.to_owned()]);
        let mut argvs = BTreeSet::from([Vec::new(), vec![ANY.to_owned()]]);
        let mut actions: Vec<(ActionName, Kind)> = Vec::new();
        for table in tables {
            for rule in table.layers.iter().flat_map(|layer| &layer.rules) {
                for glob in rule.paths.iter().chain(&rule.exec).flatten() {
                    paths.extend(glob.examples(ANY));
                }
                for (name, beneath) in rule.hosts.iter().flatten().map(|host| host.parts()) {
                    hosts.insert(if beneath { format!("{ANY}.{name}") } else { name.to_owned() });
                }
                ports.extend(rule.ports.iter().flatten().map(|port| port.number()));
                databases.extend(rule.databases.iter().flatten().map(|name| name.example(ANY)));
                if let Some((words, more)) = &rule.argv {
                    let mut words: Vec<String> = words.iter().map(|word| word.example(ANY)).collect();
                    argvs.insert(words.clone());
                    words.push(ANY.to_owned());
                    argvs.extend(more.then_some(words));
                }
            }
            for (name, kind) in table.actions() {
                if !actions.iter().any(|(known, _)| *known == name) {
                    actions.push((name, kind));
                }
            }
        }
        Self {
            // The path of no rule first, so that it is the example where any path is.
            paths: std::iter::once(&nowhere)
                .chain(paths.iter().filter(|path| **path != nowhere))
                .filter_map(|path| RequestPath::new(path.as_ref()).ok())
                .collect(),
            hosts: hosts.iter().filter_map(|host| RequestHost::new(host).ok()).collect(),
            ports: ports.into_iter().collect(),
            databases: databases.into_iter().collect(),
            argvs: argvs.into_iter().collect(),
            actions,
        }
    }

    /// Those that the rule of this text in `table` matches.
    pub(crate) fn matching(&self, table: &Table, text: &str) -> Vec<AccessRequest> {
        let rules = table.layers.iter().flat_map(|layer| &layer.rules);
        let Some(rule) = rules.into_iter().find(|rule| rule.text == text) else { return Vec::new() };
        let about = |(name, kind): &&(ActionName, Kind)| rule.means(name, *kind);
        let requests = self.actions.iter().filter(about).flat_map(|(name, kind)| self.requests(name, *kind));
        let path = |request: &AccessRequest| request.paths.first().map(|path| path.as_bytes().to_vec());
        requests.filter(|request| rule.first_miss(request, path(request).as_deref()).is_none()).collect()
    }

    fn requests(&self, name: &ActionName, kind: Kind) -> Vec<AccessRequest> {
        let mut requests = vec![AccessRequest::new(name.clone(), "")];
        if kind.has(Condition::Paths) {
            each(&mut requests, &self.paths, |request, path| request.paths = vec![path.clone()]);
        }
        if kind == Kind::ProcessExec {
            each(&mut requests, &self.paths, |request, path| request.program = Some(path.clone()));
            each(&mut requests, &self.argvs, |request, argv| request.argv.clone_from(argv));
        }
        if kind.has(Condition::Hosts) {
            each(&mut requests, &self.hosts, |request, host| request.host = Some(host.clone()));
            each(&mut requests, &self.ports, |request, port| request.port = Some(*port));
            each(&mut requests, &Method::ALL, |request, method| request.method = Some(*method));
        }
        if kind == Kind::DatabaseQuery {
            each(&mut requests, &self.databases, |request, name| request.database = Some(name.clone()));
            each(&mut requests, &[Statement::Read, Statement::Write], |request, one| request.statement = Some(*one));
        }
        requests
    }
}

/// Every request with every value, up to the bound.
fn each<T>(requests: &mut Vec<AccessRequest>, values: &[T], set: impl Fn(&mut AccessRequest, &T)) {
    let with = |request: &AccessRequest, value: &T| {
        let mut request = request.clone();
        set(&mut request, value);
        request
    };
    let all = values.iter().flat_map(|value| requests.iter().map(move |request| (request, value)));
    *requests = all.take(MOST).map(|(request, value)| with(request, value)).collect();
}

/// A request in a few words.
pub(crate) fn in_words(request: &AccessRequest) -> String {
    let mut words = vec![request.action.to_string()];
    let paths = request.paths.iter().chain(&request.program);
    words.extend(paths.map(|path| written(&String::from_utf8_lossy(path.as_bytes()))));
    words.extend(request.argv.iter().cloned());
    if let Some(host) = &request.host {
        words.extend(request.method.map(|method| method.to_string()));
        words.push(format!("{}:{}", host.as_str(), request.port.unwrap_or(0)));
    }
    words.extend(request.database.clone());
    words.extend(request.statement.map(|statement| statement.to_string()));
    words.join(" ")
}
