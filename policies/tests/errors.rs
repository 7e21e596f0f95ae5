//! What the author of a wrong policy reads: the exact text, because the text is the interface.

use policies::{ProfileName, Shipped, parse, resolve, resolve_profile};

/// The whole error of a file named `p.yaml`.
fn refusal(text: &str) -> String {
    match parse("p.yaml", text) {
        Err(error) => error.to_string(),
        Ok(document) => match resolve(&document, &Shipped) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("taken as valid:\n{text}"),
        },
    }
}

#[track_caller]
fn refuses(text: &str, expected: &[&str]) {
    assert_eq!(refusal(text), expected.join("\n"));
}

#[test]
fn a_misspelt_key_shows_the_place_the_nearest_key_and_all_keys() {
    refuses(
        "extends: [base]\nfilesytem: []\n",
        &[
            "p.yaml:2:1: unknown key `filesytem`; did you mean `filesystem`?",
            "  |",
            "2 | filesytem: []",
            "  | ^",
            "expected one of: extends, process, filesystem, optional_layers, kernel, signals, policies, actions, network, memory, without_daemon, on_violation",
        ],
    );
}

#[test]
fn a_misspelt_word_shows_the_words_that_exist() {
    refuses(
        "filesystem:\n  - {path: /usr, access: reed}\n",
        &[
            "p.yaml:2:26: unknown word `reed`; did you mean `read`?",
            "  |",
            "2 |   - {path: /usr, access: reed}",
            "  |                          ^",
            "expected one of: none, read, write",
        ],
    );
}

#[test]
fn an_unknown_profile_shows_the_nearest_and_all_profiles() {
    refuses(
        "extends:\n  - base\n  - pyton\n",
        &[
            "p.yaml:3:5: there is no profile `pyton`; did you mean `python`?",
            "  |",
            "3 |   - pyton",
            "  |     ^",
            "expected one of: base, python, node, coding-agent, data-analyst, web-researcher, mcp-server, batch-job",
        ],
    );
    let name: ProfileName = "nod".parse().expect("a legal name");
    assert_eq!(
        resolve_profile(&name, &Shipped).expect_err("no such profile").to_string(),
        "there is no profile `nod` (there are base, python, node, coding-agent, data-analyst, web-researcher, mcp-server, batch-job); did you mean `node`?"
    );
}

#[test]
fn a_duplicate_key_is_refused_where_it_stands_the_second_time() {
    refuses(
        "process: {limits: {pids: 1}}\nprocess: {}\n",
        &[
            "p.yaml:2:1: the key `process` stands here a second time; keep one of the two",
            "  |",
            "2 | process: {}",
            "  | ^",
        ],
    );
}

#[test]
fn the_same_path_twice_in_one_file_is_refused() {
    refuses(
        "filesystem:\n  - {path: /opt, access: read}\n  - {path: /opt/, access: write}\n",
        &[
            "p.yaml:3:5: the path `/opt` is listed already on line 2; keep one of the two",
            "  |",
            "3 |   - {path: /opt/, access: write}",
            "  |     ^",
        ],
    );
}

#[test]
fn a_wrong_type_says_what_was_expected() {
    refuses(
        "extends: base\n",
        &[
            "p.yaml:1:10: wrong type",
            "  |",
            "1 | extends: base",
            "  |          ^",
            "expected a list: [one, two], or one `- entry` a line",
        ],
    );
    refuses(
        "process: {limits: {memory: 4096}}\n",
        &[
            "p.yaml:1:28: `4096` is not a size: write a whole number and B, KiB, MiB, GiB or TiB, such as 512MiB",
            "  |",
            "1 | process: {limits: {memory: 4096}}",
            "  |                            ^",
        ],
    );
}

#[test]
fn a_rule_that_writes_no_directory_of_the_host_cannot_ask_for_one() {
    for (rest, what) in [("access: read", "is not written"), ("access: none", "is not written")] {
        let line = format!("  - {{path: /opt, {rest}, directory: true}}");
        refuses(
            &format!("filesystem:\n{line}\n"),
            &[
                &format!(
                    "p.yaml:2:5: `/opt` {what}, so it does not matter what the host has there: remove `directory`"
                ),
                "  |",
                &format!("2 | {line}"),
                "  |     ^",
            ],
        );
    }
    let tmpfs = refusal("filesystem: [{path: /tmp, access: write, tmpfs: 1MiB, directory: true}]");
    assert!(tmpfs.starts_with("p.yaml:1:14: `/tmp` is a tmpfs, so"), "{tmpfs}");
    assert!(parse("p", "filesystem: [{path: /opt, access: write, optional: true, directory: true}]").is_ok());
}

#[test]
fn a_policy_without_limits_is_refused() {
    refuses(
        "process: {limits: {memory: 1GiB, files: 64}}\n",
        &["the policy `p.yaml` sets no `process.limits.pids`; every agent has one: set it, or extend `base`"],
    );
}

#[test]
fn yaml_that_means_different_things_to_different_readers_is_refused() {
    for (text, reason) in [
        ("process: &p {}\n<<: *p\n", "merge keys"),
        ("extends: !mine [base]\n", "the tag `!mine`"),
        ("!!binary process: {}\n", "tag"),
        ("filesystem: [{path: /opt, access: read, optional: yes}]\n", "neither `true` nor `false`"),
        ("process:\n", "wrong type"),
        ("process: {limits: {memory: ~}}\n", "a value is missing"),
        ("process: {limits: {pids: 0x10}}\n", "is not a count"),
        ("extends: [base]\n---\nextends: [base]\n", "one YAML document"),
        ("extends: [base\n", "unclosed bracket"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(reason), "{text:?} gave: {refusal}");
    }
}

#[test]
fn bombs_are_refused_before_they_cost_anything() {
    let many_aliases = format!("process: {{exec: [&a /usr{}]}}\n", ", *a".repeat(300));
    let mut doubling = String::from("filesystem:\n  - &a0 [x]\n");
    for i in 1..40 {
        doubling.push_str(&format!("  - &a{i} [*a{0}, *a{0}]\n", i - 1));
    }
    let deep = format!("filesystem: {}", "[".repeat(50_000));
    let long = format!("# {}\nextends: [base]\n", "x".repeat(policies::MAX_POLICY_BYTES));
    let wide = format!("process: {{env: [{}]}}\n", (0..2000).map(|i| format!("V{i}")).collect::<Vec<_>>().join(", "));
    for text in [many_aliases, doubling, deep, long, wide] {
        let start = std::time::Instant::now();
        assert!(parse("bomb", &text).is_err());
        assert!(start.elapsed().as_secs() < 5, "a bomb of {} bytes was felt", text.len());
    }
}

#[test]
fn a_hostile_file_cannot_draw_on_the_terminal() {
    for text in
        ["\u{1b}[2J: 1\n", "\"\\x1b[2J\": 1\n", "process: {limits: {memory: \"\\x1b]0;x\\x07\"}}\n", "a\u{202e}b: 1\n"]
    {
        let shown = parse("evil\u{1b}.yaml", text).expect_err("no key of ours").to_string();
        let drawn = shown.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(drawn, None, "{shown:?}");
    }
}

#[test]
fn what_the_sandbox_makes_itself_cannot_be_named_by_a_rule() {
    for path in
        ["/proc", "/proc/sys/kernel", "/dev", "/dev/kvm", "/mem/episodic", "/policy", "/run/agentos/kernel.sock", "/"]
    {
        assert!(parse("p", &format!("filesystem: [{{path: {path}, access: read}}]")).is_err(), "{path} was taken");
    }
    assert!(parse("p", "filesystem: [{path: /sys, access: write}]").is_err());
    assert!(parse("p", "filesystem: [{path: /dev/shm, access: write, tmpfs: 1MiB}]").is_ok(), "the one exception");
    assert!(parse("p", "filesystem: [{path: /processes, access: read}]").is_ok(), "a name that only begins alike");
}

#[test]
fn a_tag_never_changes_what_a_text_means() {
    // "L2V0Yw==" is /etc in base64; the control is the same text without a tag.
    for path in ["!!binary L2V0Yw==", "L2V0Yw=="] {
        let refusal = refusal(&format!("filesystem: [{{path: {path}, access: read}}]"));
        assert!(refusal.contains("the path `L2V0Yw==` is not absolute"), "{refusal}");
    }
}

#[test]
fn every_example_of_the_language_in_its_description_is_valid() {
    let description = include_str!("../../docs/policy.md");
    let examples: Vec<&str> =
        description.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let document = parse("docs/policy.md", example).unwrap_or_else(|error| panic!("{error}"));
        resolve(&document, &Shipped).unwrap_or_else(|error| panic!("{error}"));
    }
    for name in policies::shipped_names() {
        assert!(description.contains(&format!("| `{name}` |")), "{name} is not described");
    }
    let shown = refusal("extends: [base]\nfilesytem: []\n");
    assert!(
        description.contains(&shown.replacen("p.yaml", "coder.yaml", 1)),
        "the error that is shown is not this:\n{shown}"
    );
}

#[test]
fn a_part_of_memory_that_holds_nothing_is_refused() {
    refuses(
        "memory: {working: 64KiB, semantic: 1KiB}\n",
        &[
            "p.yaml:1:36: 1KiB holds next to nothing, since each file counts 4KiB; at least 64KiB",
            "  |",
            "1 | memory: {working: 64KiB, semantic: 1KiB}",
            "  |                                    ^",
        ],
    );
}

#[test]
fn a_mistake_in_memory_is_shown_where_it_stands() {
    refuses(
        "memory: {wroking: 1MiB}\n",
        &[
            "p.yaml:1:10: unknown key `wroking`; did you mean `working`?",
            "  |",
            "1 | memory: {wroking: 1MiB}",
            "  |          ^",
            "expected one of: working, episodic, semantic, procedural, state, inodes, semantic_shared, on_vfs_loss",
        ],
    );
    refuses(
        "memory: {semantic_shared: ../x}\n",
        &[
            "p.yaml:1:27: `../x` is not a store's name: use lower-case letters, digits and `-`, a letter first, at most 63",
            "  |",
            "1 | memory: {semantic_shared: ../x}",
            "  |                           ^",
        ],
    );
    refuses(
        "memory: {on_vfs_loss: kill}\n",
        &[
            "p.yaml:1:23: unknown word `kill`",
            "  |",
            "1 | memory: {on_vfs_loss: kill}",
            "  |                       ^",
            "expected one of: stop, remount",
        ],
    );
}

#[test]
fn no_rule_names_what_the_sandbox_places_itself() {
    for path in ["/mem", "/mem/working", "/state/x", "/policy", "/tools/sh", "/ipc", "/.agentos/write"] {
        let error = refusal(&format!("filesystem:\n  - {{path: {path}, access: read}}\n"));
        assert!(error.starts_with("p.yaml:2:5: /"), "{error}");
        assert!(error.contains(&format!("no rule may name `{path}`")), "{error}");
    }
}
