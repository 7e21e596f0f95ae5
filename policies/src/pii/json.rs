//! The same in a JSON value: in its texts, in its keys, and in numbers that are a card's.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Counts, Found, PiiKind, assignment, numbers, redacted};

/// Takes personal data and secrets out of a value. What a key says of its value counts as the words before it do in text:
/// the value of `password` is a secret, nine digits of `ssn` are a social security number.
///
/// ```
/// let mut value = serde_json::json!({"user": "ann@example.com", "password": "hunter2", "card": 4111111111111111_u64});
/// policies::pii::redact_json(&mut value);
/// let expected = r#"{"card":"[redacted:card]","password":"[redacted:secret]","user":"[redacted:email]"}"#;
/// assert_eq!(value.to_string(), expected);
/// ```
pub fn redact_json(value: &mut Value) -> Vec<Found> {
    let mut counts = Counts::default();
    walk(value, "", &mut counts);
    counts.found()
}

fn walk(value: &mut Value, key: &str, counts: &mut Counts) {
    match value {
        Value::String(text) => {
            if let Some(kind) = by_key(key, text) {
                counts.add(kind);
                *value = kind.replacement().into();
            } else if let Cow::Owned(redacted) = redacted(text, counts) {
                *text = redacted;
            }
        }
        Value::Number(number) if !number.is_f64() => {
            let text = number.to_string();
            let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
            let card = digits.len() == text.len() && numbers::is_card(&digits);
            let ssn = || by_key(key, &text).filter(|kind| *kind == PiiKind::Ssn);
            if let Some(kind) = card.then_some(PiiKind::Card).or_else(ssn) {
                counts.add(kind);
                *value = kind.replacement().into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| walk(value, key, counts)),
        Value::Object(object) => {
            object.iter_mut().for_each(|(key, value)| walk(value, key, counts));
            rename(object, counts);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a key says that its value is.
fn by_key(key: &str, text: &str) -> Option<PiiKind> {
    let ssn = || numbers::ssn(text.as_bytes(), 0, || numbers::speaks_of_ssn(key.as_bytes()));
    if assignment::names_secret(key) && assignment::is_secret(text) {
        Some(PiiKind::Secret)
    } else {
        ssn().filter(|hit| hit.end == text.len()).map(|hit| hit.kind)
    }
}

/// Keys that say who somebody is, in place of which others stand; of several that would be the same, each has a number.
fn rename(object: &mut Map<String, Value>, counts: &mut Counts) {
    let mut own = Counts::default();
    if !object.keys().any(|key| matches!(redacted(key, &mut own), Cow::Owned(_))) {
        return;
    }
    let mut last = BTreeMap::<String, usize>::new();
    for (key, value) in std::mem::take(object) {
        let mut name = redacted(&key, counts).into_owned();
        if object.contains_key(&name) {
            let common = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned();
            // One count for all that could be taken for each other, so that no number is tried twice.
            let number = last.entry(common.clone()).or_default();
            while object.contains_key(&name) {
                *number += 1;
                name = format!("{common} {number}");
            }
        }
        object.insert(name, value);
    }
}
