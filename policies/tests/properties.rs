//! Promises over all inputs, tried with generated ones.

use policies::{CaseTable, Narrowing, Shipped, Size, TimeSpan, Variables, parse, render, resolve};
use proptest::prelude::*;

/// Text that is often nearly a policy: fragments of the language in any order, with noise between them.
fn nearly_a_policy() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        Just("extends: [base]\n".to_owned()),
        Just("process:\n  limits: {memory: 1GiB, pids: 5}\n".to_owned()),
        Just("filesystem:\n".to_owned()),
        Just("  - {path: \"${workspace}/x\", access: write}\n".to_owned()),
        Just("  - {path: /opt, access: read, exec: false}\n".to_owned()),
        Just("&a ".to_owned()),
        Just("*a ".to_owned()),
        Just("<<: ".to_owned()),
        Just("!!binary ".to_owned()),
        Just("---\n".to_owned()),
        Just("\t".to_owned()),
        "[a-z]{1,8}: ",
        "\\PC{0,6}",
        "[\\[\\]{}:,#|>'\"%@`\n -]{0,8}",
    ];
    proptest::collection::vec(fragment, 0..20).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        if let Err(error) = parse("p", &text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Err(error) = parse("p", &String::from_utf8_lossy(&bytes)) {
            prop_assert!(error.line >= 1 && error.column >= 1);
        }
    }

    #[test]
    fn no_agents_own_file_makes_the_reader_panic_or_grants(
        fences in proptest::collection::vec("(```(yaml|yml|sh)?|---|~~~)\n?", 0..5),
        texts in proptest::collection::vec(prop_oneof![nearly_a_policy(), Just("policies: [{action: file_read}]\n".to_owned())], 5),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut file: Vec<u8> = Vec::new();
        for (text, fence) in texts.iter().zip(fences.iter().map(String::as_str).chain(std::iter::repeat(""))) {
            file.extend(fence.as_bytes());
            file.extend(text.as_bytes());
        }
        for file in [file.clone(), [file, bytes].concat()] {
            match Narrowing::read(".agents/security.md", &file, &[]) {
                Ok(narrowing) => {
                    let said = narrowing.mediation();
                    prop_assert!(said.network.is_empty() && said.actions.is_empty() && said.on_violation.is_none());
                }
                Err(error) => {
                    let lines = u64::try_from(file.split(|byte| *byte == b'\n').count()).expect("small");
                    prop_assert!((1..=lines).contains(&error.line), "{error}");
                }
            }
            let table = CaseTable::read("c", &String::from_utf8_lossy(&file));
            prop_assert!(table.is_ok() || table.is_err_and(|error| error.line >= 1));
        }
    }

    #[test]
    fn a_text_always_has_the_same_meaning_or_the_same_error(text in nearly_a_policy()) {
        let meaning = |text: &str| match parse("p", text) {
            Err(error) => format!("{error}"),
            Ok(document) => match resolve(&document, &Shipped) {
                Err(error) => format!("{error}"),
                Ok(policy) => format!("{}{policy:?}", render(&policy)),
            },
        };
        prop_assert_eq!(meaning(&text), meaning(&text));
    }

    #[test]
    fn a_bound_path_never_leaves_the_directory_that_its_rule_names(
        parts in proptest::collection::vec("[a-z.$ ]{1,4}|\\.\\.", 1..5), workspace in "/srv/[a-z]{1,5}(/[a-z]{1,5}){0,2}",
    ) {
        let path = format!("${{workspace}}/{}", parts.join("/"));
        let text = format!("extends: [base]\nfilesystem: [{{path: '{path}', access: write}}]\n");
        let Ok(document) = parse("p", &text) else { return Ok(()) };
        let policy = resolve(&document, &Shipped).expect("base has limits");
        let variables = Variables { workspace: Some(workspace.clone().into()), home: "/home/a".into(), name: "a".into() };
        let bound = policy.bind(&variables).expect("nothing collides with /srv");
        let written = bound.filesystem.iter().filter(|rule| rule.origin.file.as_ref() == "p");
        for rule in written {
            prop_assert!(rule.path.starts_with(&workspace));
            prop_assert!(!rule.path.components().any(|part| part.as_os_str() == ".."));
        }
    }

    #[test]
    fn the_order_of_a_files_rules_changes_no_decision(order in Just((0..5_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let rules = ["/o, access: read", "/o/a, access: write", "/o/a/b, access: none", "/o/c, access: none", "/q, access: read"];
        let bound = |order: &[usize]| {
            let listed: Vec<String> = order.iter().map(|index| format!("{{path: {}}}", rules[*index])).collect();
            let text = format!("extends: [base]\nfilesystem: [{}]\n", listed.join(", "));
            let policy = resolve(&parse("p", &text).expect("valid"), &Shipped).expect("valid");
            policy.bind(&Variables { workspace: None, home: "/home/a".into(), name: "a".into() }).expect("binds").filesystem
        };
        prop_assert_eq!(bound(&order), bound(&[0, 1, 2, 3, 4]));
    }

    #[test]
    fn sizes_and_spans_read_back_what_they_show(bytes in 1_u64.., seconds in 1_u64..1 << 40) {
        let size: Size = format!("{bytes}B").parse().expect("a size");
        prop_assert_eq!(size.to_string().parse(), Ok(size));
        let span: TimeSpan = format!("{seconds}s").parse().expect("a span");
        prop_assert_eq!(span.to_string().parse(), Ok(span));
    }
}
