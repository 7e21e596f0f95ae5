//! What the filter `pii` takes out of data.

use policies::pii::{redact, redact_json};
use serde_json::Value;
use std::borrow::Cow;

/// A second pass finds nothing, and where nothing is found nothing changes; the same for a value, if it is JSON.
pub fn pii(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let first = redact(text);
    assert_eq!(first.found.is_empty(), matches!(first.text, Cow::Borrowed(_)), "{text:?}");
    assert!(redact(&first.text).found.is_empty(), "{text:?}");
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return };
    let before = value.clone();
    let found = redact_json(&mut value);
    assert_eq!(found.is_empty(), value == before, "{text:?}");
    assert!(redact_json(&mut value).is_empty(), "{text:?}");
}
