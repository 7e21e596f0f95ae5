//! Promises about decisions, tried with generated policies and requests.

use policies::{
    AccessRequest, Decision, Effect, Method, Narrowing, RequestHost, RequestPath, Shipped, Statement, Table, Variables,
    parse, resolve,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const FILES: [&str; 6] = ["file_read", "file_write", "file_delete", "list_directory", "memory_read", "memory_write"];
const PATHS: [&str; 10] =
    ["/**", "/a", "/a/*", "/a/**", "/a/b/**", "/*/b", "/**/b", "/a/**/b/**", "/?/x*", "${workspace}/**"];
const HOSTS: [&str; 4] = ["a.example", "*.a.example", "b.a.example", "c.test"];

/// The condition of a rule about this action, often none.
fn condition(action: &'static str) -> BoxedStrategy<String> {
    let list = |key: &'static str, values: &'static [&'static str]| {
        subsequence(values, 1..=2).prop_map(move |values| {
            let values: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
            format!(", {key}: [{}]", values.join(", "))
        })
    };
    let none = Just(String::new());
    match action {
        "process_exec" => prop_oneof![none, list("exec", &PATHS)].boxed(),
        "http_request" => {
            let methods = list("methods", &["GET", "HEAD", "POST"]);
            prop_oneof![none, list("hosts", &HOSTS), list("ports", &["80", "443"]), methods].boxed()
        }
        "database_query" => {
            prop_oneof![none, list("databases", &["d", "s*", "s?"]), list("statements", &["read", "write"])].boxed()
        }
        "*" => prop_oneof![3 => none, 1 => list("paths", &PATHS), 1 => list("hosts", &HOSTS)].boxed(),
        "send_message" => none.boxed(),
        _ => prop_oneof![none, list("paths", &PATHS)].boxed(),
    }
}

fn action() -> impl Strategy<Value = &'static str> {
    let others = ["process_exec", "http_request", "database_query", "send_message", "*", "*"];
    select([&FILES[..], &others[..]].concat())
}

fn rule() -> impl Strategy<Value = String> {
    let what = action().prop_flat_map(|action| {
        let changes = ["file_write", "file_delete", "memory_write", "process_exec", "send_message"].contains(&action);
        let extras = [
            ", requires_approval: true",
            ", filters: [pii]",
            ", max_bytes: 10B",
            ", rate: 5/min",
            if changes { ", count: 3" } else { ", mode: read_only" },
        ];
        let allow = subsequence(extras.to_vec(), 0..3).prop_map(|extras| extras.concat());
        let effect = prop_oneof![2 => allow, 1 => Just(", effect: deny".to_owned())];
        (Just(action), condition(action), effect)
    });
    what.prop_map(|(action, condition, effect)| format!("  - {{action: \"{action}\"{condition}{effect}}}\n"))
}

fn rules(most: usize) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(rule(), 0..most)
}

fn path() -> impl Strategy<Value = RequestPath> {
    let component = select(vec!["a", "b", "x", "xy", "srv", "work", "ä"]);
    proptest::collection::vec(component, 0..5)
        .prop_map(|parts| RequestPath::new(format!("/{}", parts.join("/")).as_ref()).expect("clean"))
}

fn request() -> impl Strategy<Value = AccessRequest> {
    let action = select([&FILES[..], &["process_exec", "http_request", "database_query", "send_message"][..]].concat());
    let net = (
        select(vec!["a.example", "b.a.example", "c.test", "x.c.test"]),
        select(vec![80, 443]),
        select(Method::ALL.to_vec()),
    );
    let data = (select(vec!["d", "s", "sx", "sxy"]), select(vec![Statement::Read, Statement::Write]));
    let size = proptest::option::of(select(vec!["5B", "10B", "11B"]));
    (action, proptest::collection::vec(path(), 1..3), net, data, size).prop_map(|(action, paths, net, data, size)| {
        let request = AccessRequest::new(action.parse().expect("legal"), "a");
        AccessRequest {
            program: paths.first().cloned(),
            paths: if FILES.contains(&action) { paths } else { Vec::new() },
            host: RequestHost::new(net.0).ok(),
            port: Some(net.1),
            method: Some(net.2),
            database: Some(data.0.to_owned()),
            statement: Some(data.1),
            size: size.and_then(|size| size.parse().ok()),
            ..request
        }
    })
}

fn table(rules: &[String]) -> Table {
    let list = if rules.is_empty() { "[]\n".to_owned() } else { format!("\n{}", rules.concat()) };
    let text = format!("extends: [base]\npolicies: {list}");
    let document = parse("p", &text).unwrap_or_else(|error| panic!("{error}\nin\n{text}"));
    let policy = resolve(&document, &Shipped).unwrap_or_else(|error| panic!("{error}"));
    let variables = Variables { workspace: Some("/srv/work".into()), home: "/home/a".into(), name: "a".into() };
    Table::compile(&policy, &variables, &[]).expect("compiles")
}

fn layer(rules: &[String]) -> Narrowing {
    let list = if rules.is_empty() { "[]\n".to_owned() } else { format!("\n{}", rules.concat()) };
    Narrowing::read("layer", format!("policies: {list}").as_bytes(), &[]).unwrap_or_else(|error| panic!("{error}"))
}

/// All of a decision but the lines on which its rules stand.
fn meaning(decision: &Decision<'_>) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut budgets: Vec<_> = decision
        .obligations
        .budgets
        .iter()
        .map(|budget| (budget.rule.text.to_owned(), budget.rate, budget.count))
        .collect();
    budgets.sort();
    let Decision { effect, reason, rule, obligations } = decision;
    let rule = rule.map(|rule| rule.text.to_owned());
    (*effect, *reason, rule, obligations.read_only, obligations.filters, obligations.max_bytes, budgets)
}

/// Whether `narrowed` lets pass no more than `granted`.
fn is_within(narrowed: &Decision<'_>, granted: &Decision<'_>) -> bool {
    if narrowed.effect == Effect::Deny {
        return true;
    }
    let (narrow, grant) = (&narrowed.obligations, &granted.obligations);
    narrowed.effect >= granted.effect
        && (narrow.read_only || !grant.read_only)
        && narrow.filters.union(grant.filters) == narrow.filters
        && grant.max_bytes.is_none_or(|most| narrow.max_bytes.is_some_and(|bytes| bytes <= most))
        && grant.budgets.iter().all(|budget| narrow.budgets.iter().any(|kept| kept.rule.text == budget.rule.text))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_order_of_rules_changes_no_answer(
        (rules, shuffled) in rules(12).prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle())),
        requests in proptest::collection::vec(request(), 8),
    ) {
        let (one, other) = (table(&rules), table(&shuffled));
        for request in &requests {
            prop_assert_eq!(meaning(&one.decide(request)), meaning(&other.decide(request)), "{:?}", request);
        }
    }

    #[test]
    fn a_narrowing_layer_never_grants(
        rules in rules(12), narrower in rules(6), other in rules(6), requests in proptest::collection::vec(request(), 8),
    ) {
        let granted = table(&rules);
        let (first, second) = (layer(&narrower), layer(&other));
        let (one, both) = (granted.narrowed(&first), granted.narrowed(&first).narrowed(&second));
        let swapped = granted.narrowed(&second).narrowed(&first);
        for request in &requests {
            let (free, narrowed, twice) = (granted.decide(request), one.decide(request), both.decide(request));
            prop_assert!(is_within(&narrowed, &free), "{}\nbut\n{}", granted.explain(request), one.explain(request));
            prop_assert!(is_within(&twice, &narrowed), "{}\nbut\n{}", one.explain(request), both.explain(request));
            prop_assert_eq!(twice.effect, swapped.decide(request).effect);
            for name in Narrowing::built_in_names() {
                let table = granted.narrowed(&Narrowing::built_in(name).expect("built in"));
                prop_assert!(is_within(&table.decide(request), &free), "{}", name);
            }
        }
    }

    #[test]
    fn the_index_finds_what_looking_at_every_rule_finds(
        rules in rules(16), narrower in rules(6), requests in proptest::collection::vec(request(), 8),
    ) {
        let table = table(&rules).narrowed(&layer(&narrower));
        for request in &requests {
            let explained = table.explain(request);
            prop_assert_eq!(&table.decide(request), &explained.decision, "{}", explained);
            let clone = table.clone();
            prop_assert_eq!(table.decide(request), clone.decide(request));
        }
    }

    #[test]
    fn nothing_is_allowed_that_no_rule_allows(rules in rules(12), request in request()) {
        let table = table(&rules);
        let decision = table.decide(&request);
        if decision.effect != Effect::Deny {
            let rule = decision.rule.expect("an allowing rule");
            prop_assert!(!rule.text.contains("effect: deny"));
        }
        let empty = self::table(&[]);
        prop_assert_eq!(empty.decide(&request).effect, Effect::Deny);
    }
}
