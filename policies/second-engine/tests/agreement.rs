//! The two engines agree: random policies, random requests, the same effect.
//!
//! `AGENTOS_REQUESTS=1000000 cargo test --release` asks a million; 20,000 otherwise. `AGENTOS_SEED` repeats a run.

use std::str::FromStr as _;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression};
use policies::{
    AccessRequest, Effect, Effective, Kind, Method, Narrowing, RequestHost, RequestPath, Shipped, Statement, Table,
    Variables, parse, resolve,
};
use second_engine::{Layer, actions, export};

/// SplitMix64 (Steele, Lea, Flood 2014): enough for choices, and repeatable.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).expect("small")).expect("small")
    }

    fn of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

const PATTERNS: [&str; 12] =
    ["/**", "/a", "/a/*", "/a/**", "/a/b/**", "/*/b", "/**/b", "/a/**/b", "/*/x*", "/x*y/**", "/a/*b*", "/**/a/b"];
const HOSTS: [&str; 5] = ["a.example", "*.a.example", "b.a.example", "c.test", "*.test"];

fn list(random: &mut Random, key: &str, values: &[&str]) -> String {
    let some: Vec<String> = (0..=random.below(2)).map(|_| format!("\"{}\"", random.of(values))).collect();
    format!(", {key}: [{}]", some.join(", "))
}

/// One rule, as an author would write it.
fn rule(random: &mut Random) -> String {
    let names: Vec<&str> = Kind::BUILT_IN.iter().map(|(name, _)| *name).chain(["*", "*", "*"]).collect();
    let name = *random.of(&names);
    let kind = Kind::built_in(name);
    let condition = match (name, random.below(4)) {
        (_, 0) | ("send_message", _) => String::new(),
        ("*", 1) => list(random, "paths", &PATTERNS),
        ("*", 2) => list(random, "hosts", &HOSTS),
        ("*", _) => String::new(),
        ("process_exec", _) => list(random, "exec", &PATTERNS),
        ("http_request", 1) => list(random, "ports", &["80", "443"]).replace('"', ""),
        ("http_request", 2) => list(random, "methods", &["GET", "HEAD", "POST"]),
        ("http_request", _) => list(random, "hosts", &HOSTS),
        ("database_query", 1) => list(random, "statements", &["read", "write"]),
        ("database_query", _) => list(random, "databases", &["d", "s*", "*x", "s*x*"]),
        _ => list(random, "paths", &PATTERNS),
    };
    if random.one_in(3) {
        return format!("  - {{action: \"{name}\"{condition}, effect: deny}}\n");
    }
    let mut extras = String::new();
    if condition.contains("exec:") && random.one_in(2) {
        extras += &list(random, "argv", &["a", "a*", "*b"]);
        extras = if random.one_in(2) { extras.replace(']', ", \"...\"]") } else { extras };
    }
    if random.one_in(4) {
        extras += ", requires_approval: true";
    }
    if random.one_in(4) && !kind.is_some_and(Kind::always_changes) {
        extras += ", mode: read_only";
    }
    if random.one_in(4) {
        extras += ", max_bytes: 10B";
    }
    format!("  - {{action: \"{name}\"{condition}{extras}}}\n")
}

fn rules(random: &mut Random, most: usize) -> String {
    let rules: String = (0..random.below(most)).map(|_| rule(random)).collect();
    if rules.is_empty() { "policies: []\n".to_owned() } else { format!("policies:\n{rules}") }
}

fn network(random: &mut Random) -> String {
    let entry = |random: &mut Random| {
        let methods = if random.one_in(2) { list(random, "methods", &["GET", "POST"]) } else { String::new() };
        format!("{{host: \"{}\", ports: [{}]{methods}}}", random.of(&HOSTS), random.of(&["80", "443"]))
    };
    let entries: Vec<String> = (0..random.below(3)).map(|_| entry(random)).collect();
    format!("network: [{}]\n", entries.join(", "))
}

fn path(random: &mut Random) -> RequestPath {
    let parts: Vec<&str> = (0..random.below(5)).map(|_| *random.of(&["a", "b", "x", "xy", "xzy", "ab"])).collect();
    RequestPath::new(format!("/{}", parts.join("/")).as_ref()).expect("clean")
}

fn request(random: &mut Random, name: &str, kind: Kind) -> AccessRequest {
    let mut request = AccessRequest::new(name.parse().expect("legal"), "a");
    if looks_at_paths(kind) {
        request.paths = (0..=random.below(2)).map(|_| path(random)).collect();
    }
    request.size = *random.of(&[None, "5B".parse().ok(), "10B".parse().ok(), "11B".parse().ok()]);
    match kind {
        Kind::ProcessExec => {
            request.program = Some(path(random));
            request.argv = (0..random.below(4)).map(|_| (*random.of(&["a", "ab", "cb", "c"])).to_owned()).collect();
        }
        Kind::HttpRequest | Kind::Network => {
            let host = *random.of(&["a.example", "b.a.example", "c.test", "x.c.test", "evila.example"]);
            request.host = RequestHost::new(host).ok();
            request.port = Some(*random.of(&[80, 443, 22]));
            request.method = Some(*random.of(&Method::ALL)).filter(|_| kind == Kind::HttpRequest || random.one_in(2));
        }
        Kind::DatabaseQuery => {
            request.database = Some((*random.of(&["d", "s", "sx", "sxy", "tx"])).to_owned());
            request.statement = Some(*random.of(&[Statement::Read, Statement::Write]));
        }
        _ => {}
    }
    request
}

fn looks_at_paths(kind: Kind) -> bool {
    kind.has(policies::Condition::Paths)
}

/// What Cedar is told of a request, about one of its paths.
fn context(request: &AccessRequest, kind: Kind, path: Option<&RequestPath>) -> Context {
    let mut pairs: Vec<(String, RestrictedExpression)> = Vec::new();
    let mut text = |key: String, value: &str| pairs.push((key, RestrictedExpression::new_string(value.to_owned())));
    let mut depths = Vec::new();
    for (what, path) in [("path", path), ("program", request.program.as_ref())] {
        let Some(path) = path else { continue };
        let path = std::str::from_utf8(path.as_bytes()).expect("text");
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        depths.push((format!("{what}_depth"), parts.len()));
        parts.iter().enumerate().for_each(|(at, part)| text(format!("{what}_{at}"), part));
        parts.iter().rev().enumerate().for_each(|(at, part)| text(format!("{what}_e{at}"), part));
    }
    request.argv.iter().enumerate().for_each(|(at, word)| text(format!("a{at}"), word));
    request.host.iter().for_each(|host| text("host".to_owned(), host.as_str()));
    request.method.iter().for_each(|method| text("method".to_owned(), &method.to_string()));
    request.database.iter().for_each(|name| text("database".to_owned(), name));
    request.statement.iter().for_each(|statement| text("statement".to_owned(), &statement.to_string()));
    let long = |value: usize| RestrictedExpression::new_long(i64::try_from(value).expect("small"));
    pairs.extend(depths.into_iter().map(|(key, value)| (key, long(value))));
    pairs.push(("argc".to_owned(), long(request.argv.len())));
    pairs.extend(request.port.map(|port| ("port".to_owned(), long(port.into()))));
    let size = request.size.map_or(-1, |size| i64::try_from(size.bytes()).expect("small"));
    pairs.push(("size".to_owned(), RestrictedExpression::new_long(size)));
    // Said here and not asked of the other side: an HTTP request reads by GET and HEAD, a statement when it is `read`.
    let changes = match kind {
        Kind::HttpRequest => !matches!(request.method, Some(Method::Get | Method::Head)),
        Kind::DatabaseQuery => request.statement != Some(Statement::Read),
        Kind::FileRead | Kind::ListDirectory | Kind::MemoryRead | Kind::Network => false,
        _ => true,
    };
    pairs.push(("changes".to_owned(), RestrictedExpression::new_bool(changes)));
    Context::from_pairs(pairs).expect("no key twice")
}

struct Cedar {
    authorizer: Authorizer,
    layers: Vec<PolicySet>,
    entities: Entities,
}

impl Cedar {
    fn allows(&self, asked: &str, policies: &PolicySet, context: Context) -> bool {
        let uid = |text: &str| EntityUid::from_str(text).expect("legal");
        let action = uid(&format!("Action::\"{asked}\""));
        let request = Request::new(uid("Agent::\"a\""), action, uid("Thing::\"any\""), context, None).expect("legal");
        let response = self.authorizer.is_authorized(&request, policies, &self.entities);
        assert_eq!(response.diagnostics().errors().count(), 0, "Cedar could not evaluate a policy");
        response.decision() == Decision::Allow
    }

    fn decide(&self, request: &AccessRequest, kind: Kind) -> Effect {
        let mut effect = Effect::Allow;
        let paths = request.paths.iter().map(Some).chain(request.paths.is_empty().then_some(None));
        for path in paths {
            for layer in &self.layers {
                let context = context(request, kind, path);
                if !self.allows(&format!("{}/do", request.action), layer, context.clone()) {
                    return Effect::Deny;
                }
                if effect == Effect::Allow && !self.allows(&format!("{}/alone", request.action), layer, context) {
                    effect = Effect::RequireApproval;
                }
            }
        }
        effect
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

#[test]
fn cedar_gives_the_same_answers() {
    let (wanted, seed) = (number("AGENTOS_REQUESTS", 20_000), number("AGENTOS_SEED", 0x000a_6e70));
    let mut random = Random(seed);
    let actions: Vec<(&str, Kind)> = actions().collect();
    let variables = Variables { workspace: None, home: "/home/a".into(), name: "a".into() };
    let (mut asked, mut answers) = (0, std::collections::BTreeMap::new());
    while asked < wanted {
        let text = format!("extends: [base]\n{}{}", rules(&mut random, 14), network(&mut random));
        let own = rules(&mut random, 7);
        let policy: Effective = resolve(&parse("p", &text).unwrap_or_else(|error| panic!("{error}\n{text}")), &Shipped)
            .unwrap_or_else(|error| panic!("{error}"));
        let narrowing = Narrowing::read("own", own.as_bytes(), &[]).unwrap_or_else(|error| panic!("{error}\n{own}"));
        let table = Table::compile(&policy, &variables, std::slice::from_ref(&narrowing)).expect("compiles");
        let mediation = &policy.mediation;
        let granting = export(Layer::Grants, &mediation.rules, &mediation.network).expect("exported");
        let narrowed = export(Layer::Narrows, &narrowing.mediation().rules, &[]).expect("exported");
        let set = |text: &str| PolicySet::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let cedar = Cedar {
            authorizer: Authorizer::new(),
            layers: vec![set(&granting), set(&narrowed)],
            entities: Entities::empty(),
        };
        for _ in 0..1000 {
            let (name, kind) = *random.of(&actions);
            let request = request(&mut random, name, kind);
            let (ours, theirs) = (table.decide(&request).effect, cedar.decide(&request, kind));
            assert_eq!(
                ours,
                theirs,
                "seed {seed}\n{request:?}\n{text}\n{own}\n{}\n{granting}\n{narrowed}",
                table.explain(&request)
            );
            *answers.entry(ours).or_insert(0_u64) += 1;
            asked += 1;
        }
    }
    println!("{asked} requests, seed {seed}: {answers:?}");
    // Agreement on denials alone would prove little.
    for effect in [Effect::Allow, Effect::RequireApproval, Effect::Deny] {
        let share = answers.get(&effect).copied().unwrap_or(0) * 100 / asked;
        assert!(share >= 1, "only {share} % of the answers are {effect}");
    }
}
