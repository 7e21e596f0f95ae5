//! Personal data and secrets are taken out, and nothing else is.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use policies::pii::{Found, PiiKind, redact, redact_json};
use proptest::prelude::*;
use serde_json::json;

/// Texts with what becomes of them.
fn examples() -> Vec<(String, String)> {
    let unescaped = |text: &str| text.replace("\\n", "\n").replace("\\\\", "\\");
    let line = |line: &str| match (line.strip_prefix("+ "), line.strip_prefix("- ")) {
        (Some(line), _) => line.split_once(" ==> ").map(|(text, result)| (unescaped(text), unescaped(result))),
        (_, Some(text)) => Some((unescaped(text), unescaped(text))),
        _ => None,
    };
    include_str!("data/pii.txt").lines().filter_map(line).collect()
}

#[test]
fn what_is_personal_is_taken_out_and_what_looks_like_it_stays() {
    let examples = examples();
    let stays = examples.iter().filter(|(text, result)| text == result).count();
    assert!(stays >= 60 && examples.len() - stays >= 60, "{stays} of {}", examples.len());
    let wrong: Vec<String> = examples
        .iter()
        .filter(|(text, result)| redact(text).text != *result)
        .map(|(text, result)| format!("{text:?} became {:?}, not {result:?}", redact(text).text))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (text, result) in &examples {
        let redacted = redact(text);
        assert_eq!(redacted.found.is_empty(), text == result, "{text}");
        assert_eq!(matches!(redacted.text, Cow::Borrowed(_)), text == result, "{text}");
    }
}

#[test]
fn what_surrounds_an_example_changes_nothing() {
    for (text, result) in examples() {
        for (before, after) in [("", "\n"), ("\n", " and more"), ("a, ", ", b"), ("(", ")"), ("ä ", " ä")] {
            let whole = format!("{before}{text}{after}");
            // A secret without quotes is one because nothing follows it on its line, and two are about the end of a text.
            let redacted = redact(&whole).text.into_owned();
            let alone = text.contains("sword:") || text.contains("(cut off)") || text.contains("EC PRIVATE");
            assert!(alone || redacted == format!("{before}{result}{after}"), "{whole:?} became {redacted:?}");
        }
    }
}

#[test]
fn what_is_found_is_counted() {
    let redacted = redact("ann@example.com, bob@example.com: 4111 1111 1111 1111, password=hunter2");
    let count = |kind, count| Found { kind, count };
    assert_eq!(redacted.found, [count(PiiKind::Card, 1), count(PiiKind::Email, 2), count(PiiKind::Secret, 1)]);
    assert_eq!(PiiKind::Secret.to_string(), "secret");
}

#[test]
fn values_are_walked_and_their_keys_are_the_words_before_them() {
    let mut value = json!({
        "rows": [[1, "ann@example.com", null], [4_111_111_111_111_111_u64, 1.5, true]],
        "ssn": 219_099_998, "order": 219_099_998, "tax": {"SSN": ["219099998", "x 219099998"]},
        "db_password": "hunter2", "password_hint": "the usual", "password": "required",
        "ann@example.com": 1, "bob@example.com": 2, "[redacted:email]": 3,
    });
    let found = redact_json(&mut value);
    assert_eq!(
        value,
        json!({
            "rows": [[1, "[redacted:email]", null], ["[redacted:card]", 1.5, true]],
            "ssn": "[redacted:ssn]", "order": 219_099_998, "tax": {"SSN": ["[redacted:ssn]", "x 219099998"]},
            "db_password": "[redacted:secret]", "password_hint": "the usual", "password": "required",
            "[redacted:email]": 3, "[redacted:email] 1": 1, "[redacted:email] 2": 2,
        })
    );
    let counts: Vec<(PiiKind, usize)> = found.iter().map(|found| (found.kind, found.count)).collect();
    assert_eq!(
        counts,
        [(PiiKind::Card, 1), (PiiKind::Ssn, 2), (PiiKind::Email, 3), (PiiKind::Secret, 1)],
        "each key and value once"
    );
    let again = value.clone();
    assert!(redact_json(&mut value).is_empty());
    assert_eq!(value, again);
}

/// Pieces of which hits are made, so that random texts come near to them.
fn piece() -> impl Strategy<Value = String> {
    let hostile = [
        "@",
        "-",
        ".",
        " ",
        "\n",
        "\"",
        "'",
        "\\",
        ":",
        "=",
        "[",
        "]",
        "_",
        "a@b.com",
        "x@y.com-",
        "4111",
        "1111",
        "4111111111111111",
        "123-45-6789",
        "219099998",
        "ssn",
        "ssn ",
        "redacted:",
        "[redacted:ssn]",
        "DE89",
        "3704",
        "DE89370400440532013000",
        "password",
        "password:",
        "password=\"",
        "secret=",
        "pwd: ",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJ",
        "eyJhbGci.eyJhbGci.abcdefgh",
        "sk-ant-",
        "xoxb-1234567890",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "-----",
        "ä",
        "“",
        "1",
        "x",
    ];
    prop_oneof![
        8 => proptest::sample::select(hostile.to_vec()).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9]{1,20}",
        1 => "\\PC{0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_second_pass_finds_nothing(pieces in proptest::collection::vec(piece(), 0..14)) {
        let text = pieces.concat();
        let first = redact(&text);
        prop_assert_eq!(first.found.is_empty(), matches!(first.text, Cow::Borrowed(_)));
        let second = redact(&first.text);
        prop_assert_eq!(&second.text, &first.text, "of {:?}", text);
    }

    #[test]
    fn any_text_is_taken(text in any::<String>()) {
        let redacted = redact(&text);
        if redacted.found.is_empty() {
            prop_assert_eq!(&redacted.text, &text);
        }
    }
}

/// For texts that are made to be slow.
#[test]
fn the_time_is_linear_in_the_text() {
    let took = |text: &str| {
        let start = Instant::now();
        std::hint::black_box(redact(std::hint::black_box(text)));
        start.elapsed()
    };
    for unit in [
        "a",
        "1",
        "@",
        "a@",
        "a.",
        "@a.",
        "4 ",
        "4-",
        "4111 ",
        "4111-",
        "123-45-",
        "1 ssn ",
        "DE89",
        "DE89 3704 ",
        "-",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nAAAA ",
        "-----BEGIN ",
        "eyJaaaaa.",
        "eyJ",
        "sk-",
        "sk-ant-",
        "xoxb-",
        "password=",
        "password=a",
        "password=\"",
        "password=\"\\",
        "password='a \"password=\"",
        "password=\\\"",
        "password: a ",
        "pwd=(",
        "_password",
        "secret-",
        "ghp_a",
        "AKIA",
        "ä@",
        "a\\n",
    ] {
        let (short, long) = (unit.repeat((1 << 14) / unit.len()), unit.repeat((1 << 20) / unit.len()));
        let best = |text: &str| (0..3).map(|_| took(text)).min().unwrap_or_default();
        let (before, after) = (best(&short), best(&long));
        // Sixty-four times the text; a square would be four thousand times the time.
        let bound = before.max(Duration::from_millis(1)) * 640;
        assert!(after < bound, "{unit:?}: {before:?}, then {after:?}");
    }
}
