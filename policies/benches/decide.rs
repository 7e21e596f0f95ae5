//! Decisions at 1,000 rules against the bar of one microsecond at the median: `cargo bench -p policies`.
//!
//! Each sort of request is decided in batches, between which nothing else runs; the figure is a batch's time over its
//! size. Beside it stands the same decision by looking at every rule in turn. The exit code is 1 when the bar is missed.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use policies::{
    AccessRequest, Effect, Method, Narrowing, RequestHost, RequestPath, Shipped, Statement, Table, Variables, parse,
    resolve,
};

/// Nanoseconds at the median.
const BAR: f64 = 1000.0;
const BATCHES: usize = 400;
const BATCH: usize = 500;

/// A thousand rules as a large installation might have them: many of each sort, some that are patterns, some that deny.
fn thousand_rules() -> String {
    let mut rules = Vec::new();
    for n in 0..300 {
        rules.push(format!("{{action: file_read, paths: [\"/data/project{n}/**\"], max_bytes: 1MiB}}"));
    }
    for n in 0..150 {
        rules.push(format!("{{action: file_write, paths: [\"/data/project{n}/out/*.csv\", \"/srv/{n}/**/result\"]}}"));
    }
    for n in 0..50 {
        rules.push(format!("{{action: file_read, effect: deny, paths: [\"/data/*/secret{n}*\"]}}"));
    }
    for n in 0..150 {
        rules.push(format!("{{action: process_exec, exec: [/opt/tools{n}/bin/tool], argv: [run, \"...\"]}}"));
    }
    for n in 0..200 {
        rules.push(format!(
            "{{action: http_request, hosts: [\"api{n}.example.com\", \"*.zone{n}.example.org\"], ports: [443], methods: [GET]}}"
        ));
    }
    for n in 0..140 {
        rules.push(format!(
            "{{action: database_query, databases: [sales{n}, \"archive{n}_*\"], mode: read_only, rate: 60/min}}"
        ));
    }
    rules.push("{action: memory_read}".to_owned());
    while rules.len() < 1000 {
        rules.push(format!("{{action: \"*\", effect: deny, paths: [\"/forbidden{}/**\"]}}", rules.len()));
    }
    rules.iter().map(|rule| format!("  - {rule}\n")).collect()
}

fn request(action: &str) -> AccessRequest {
    AccessRequest::new(action.parse().expect("an action"), "a")
}

fn on(action: &str, path: &str) -> AccessRequest {
    AccessRequest { paths: vec![RequestPath::new(path.as_ref()).expect("clean")], ..request(action) }
}

fn requests() -> Vec<(&'static str, AccessRequest, Effect)> {
    let http = |host: &str| AccessRequest {
        host: RequestHost::new(host).ok(),
        port: Some(443),
        method: Some(Method::Get),
        ..request("http_request")
    };
    let query = |name: &str| AccessRequest {
        database: Some(name.to_owned()),
        statement: Some(Statement::Read),
        ..request("database_query")
    };
    let exec = AccessRequest {
        program: RequestPath::new("/opt/tools99/bin/tool".as_ref()).ok(),
        argv: vec!["run".to_owned(), "--fast".to_owned()],
        ..request("process_exec")
    };
    vec![
        ("file_read, granted", on("file_read", "/data/project250/a/b/c/table.csv"), Effect::Allow),
        ("file_read, denied by a pattern", on("file_read", "/data/project250/secret49.key"), Effect::Deny),
        ("file_read, nothing grants it", on("file_read", "/home/somebody/.ssh/id_rsa"), Effect::Deny),
        ("file_write, beneath **", on("file_write", "/srv/77/a/b/c/d/result"), Effect::Allow),
        ("process_exec", exec, Effect::Allow),
        ("http_request, a name", http("api150.example.com"), Effect::Allow),
        ("http_request, beneath a name", http("a.b.zone150.example.org"), Effect::Allow),
        ("database_query, a name", query("sales77"), Effect::Allow),
        ("database_query, a pattern", query("archive139_2025"), Effect::Allow),
        ("memory_read", on("memory_read", "/mem/semantic/a"), Effect::Allow),
        ("file_delete, only * speaks", on("file_delete", "/forbidden995/x"), Effect::Deny),
    ]
}

/// Nanoseconds of one call: the median of the batches, and what 99 of 100 batches stay below.
fn measured(size: usize, mut call: impl FnMut()) -> (f64, f64) {
    let mut times: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            (0..size).for_each(|_| call());
            let count = u32::try_from(size).map_or(f64::NAN, f64::from);
            start.elapsed().as_secs_f64() * 1e9 / count
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    (times[BATCHES / 2], times[BATCHES * 99 / 100])
}

fn main() -> ExitCode {
    let text = format!("extends: [base]\npolicies:\n{}", thousand_rules());
    let policy = resolve(&parse("thousand.yaml", &text).expect("valid"), &Shipped).expect("valid");
    assert_eq!(policy.mediation.rules.len(), 1000);
    let variables = Variables { workspace: None, home: "/home/agent".into(), name: "a".into() };
    let start = Instant::now();
    let table = Table::compile(&policy, &variables, &[]).expect("compiles");
    println!("1000 rules compiled in {:.1} ms\n", start.elapsed().as_secs_f64() * 1e3);
    let narrowed = ["no_pii", "strict"]
        .iter()
        .fold(table.clone(), |table, name| table.narrowed(&Narrowing::built_in(name).expect("built in")));
    println!(
        "| request | ns, median | ns, 99 of 100 batches | narrowed by two | every rule in turn |\n|---|---|---|---|---|"
    );
    let mut missed = false;
    for (what, request, effect) in requests() {
        assert_eq!(table.decide(&request).effect, effect, "{what}: {}", table.explain(&request));
        let (median, most) = measured(BATCH, || drop(black_box(table.decide(black_box(&request)))));
        let (two, _) = measured(BATCH, || drop(black_box(narrowed.decide(black_box(&request)))));
        let (slow, _) = measured(1, || drop(black_box(table.explain(black_box(&request)))));
        println!("| {what} | {median:.0} | {most:.0} | {two:.0} | {slow:.0} |");
        missed |= median > BAR;
    }
    println!("\nbar: {BAR} ns at the median: {}", if missed { "NOT MET" } else { "met" });
    ExitCode::from(u8::from(missed))
}
