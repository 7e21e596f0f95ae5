//! What becomes of an agent after a forbidden act.

use policies::{Answer, ForbiddenAct, Narrowing, Shipped, Table, Variables, parse, resolve};

/// The table of these entries of a policy that extends `base`, narrowed by these entries of the agent's own file.
fn table(keys: &str, own: &str) -> Table {
    let document = parse("p.yaml", &format!("extends: [base]\n{keys}\n")).unwrap_or_else(|error| panic!("{error}"));
    let policy = resolve(&document, &Shipped).unwrap_or_else(|error| panic!("{error}"));
    let own = Narrowing::read("own", own.as_bytes(), &[]).unwrap_or_else(|error| panic!("{error}"));
    let variables = Variables { workspace: None, home: "/home/agent".into(), name: "a1".to_owned() };
    Table::compile(&policy, &variables, &[own]).expect("legal variables")
}

fn answers(keys: &str, own: &str) -> [Answer; 4] {
    let table = table(keys, own);
    ForbiddenAct::ALL.map(|act| table.answer(act))
}

use Answer::{Deny, Kill, Stop};

const MODE: &str = "kernel: {version: \"1.0\", mode: ";

#[test]
fn what_is_written_stands_and_else_the_mode_says_it() {
    // Refused, tripwire, budget, loop.
    for (mode, written, expected) in [
        ("permissive", "", [Deny, Deny, Kill, Stop]),
        ("strict", "", [Kill, Kill, Kill, Stop]),
        ("audit", "", [Deny, Deny, Kill, Stop]),
        ("strict", "default: deny", [Deny, Deny, Kill, Stop]),
        ("strict", "default: SIGSTOP, tripwires: SIGKILL", [Stop, Kill, Kill, Stop]),
        ("permissive", "default: SIGSTOP", [Stop, Stop, Kill, Stop]),
        ("permissive", "tripwires: SIGKILL", [Deny, Kill, Kill, Stop]),
        ("strict", "tripwires: deny", [Kill, Deny, Kill, Stop]),
        ("permissive", "budgets: SIGSTOP, loops: SIGKILL", [Deny, Deny, Stop, Kill]),
        ("strict", "loops: deny", [Kill, Kill, Kill, Deny]),
        // Audit only watches; a spent budget is none the less spent.
        ("audit", "default: SIGKILL, tripwires: SIGSTOP, budgets: SIGSTOP, loops: SIGKILL", [Deny, Deny, Stop, Kill]),
    ] {
        let keys = format!("{MODE}{mode}}}\non_violation: {{{written}}}");
        assert_eq!(answers(&keys, "{}"), expected, "{mode}, {written}");
    }
    assert_eq!(answers("", "{}"), [Deny, Deny, Kill, Stop], "without a mode it is permissive");
}

#[test]
fn an_answer_that_is_not_listed_gives_way_to_a_milder_one_that_is() {
    for (listed, expected) in [
        ("SIGSTOP, SIGKILL", [Kill, Kill, Kill, Stop]),
        ("SIGKILL", [Kill, Kill, Kill, Deny]),
        ("SIGSTOP", [Stop, Stop, Stop, Stop]),
        ("SIGTERM", [Deny, Deny, Kill, Deny]),
        ("", [Deny, Deny, Kill, Deny]),
        ("SIGPOLICY", [Kill, Kill, Kill, Deny]),
        ("SIGBUDGET", [Deny, Deny, Kill, Deny]),
        ("SIGLOOP", [Deny, Deny, Kill, Stop]),
        ("SIGBUDGET, SIGSTOP", [Stop, Stop, Kill, Stop]),
    ] {
        assert_eq!(answers(&format!("{MODE}strict}}\nsignals: [{listed}]"), "{}"), expected, "[{listed}]");
    }
}

#[test]
fn an_agents_own_file_makes_no_answer_milder() {
    let strict = format!("{MODE}strict}}");
    for (keys, own, expected) in [
        (String::new(), strict.clone(), [Kill, Kill, Kill, Stop]),
        ("on_violation: {default: deny, tripwires: SIGSTOP}".to_owned(), strict.clone(), [Kill, Kill, Kill, Stop]),
        (format!("{MODE}audit}}"), strict.clone(), [Kill, Kill, Kill, Stop]),
        (strict.clone(), format!("{MODE}audit}}"), [Kill, Kill, Kill, Stop]),
        (strict.clone(), "signals: [SIGTERM]".to_owned(), [Kill, Kill, Kill, Stop]),
        (format!("{strict}\nsignals: []"), "signals: [SIGPOLICY, SIGSTOP]".to_owned(), [Kill, Kill, Kill, Stop]),
        ("on_violation: {default: SIGKILL}".to_owned(), format!("{MODE}permissive}}"), [Kill, Kill, Kill, Stop]),
    ] {
        assert_eq!(answers(&keys, &own), expected, "{keys:?} with {own:?}");
    }
}

#[test]
fn a_spent_budget_is_never_answered_by_a_mere_refusal() {
    let error = parse("p.yaml", "on_violation: {budgets: deny}\n").expect_err("no answer").to_string();
    assert!(error.starts_with("p.yaml:1:25: unknown word `deny`"), "{error}");
    assert!(error.ends_with("expected one of: SIGSTOP, SIGKILL"), "{error}");
}
