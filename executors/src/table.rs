//! The result of a statement: columns and rows, within a bound.

use crate::refusal::{Outcome, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::executor::{Bounds, MAX_CONTENT};
use serde_json::{Number, Value, json};
use std::time::{Duration, Instant};

/// Bytes of a result when the policy does not say.
const USUAL: u64 = 1 << 20;

/// Rows, as they come.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<Value>,
    /// Of the rows as JSON, in bytes.
    length: u64,
    bound: u64,
}

impl Table {
    pub(crate) fn new(columns: Vec<String>, bounds: &Bounds) -> Outcome<Self> {
        let mut table = Self { columns: Vec::new(), rows: Vec::new(), length: 0, bound: bound(bounds) };
        table.grow(&json!(columns))?;
        table.columns = columns;
        Ok(table)
    }

    /// Adds a row, while everything fits.
    pub(crate) fn push(&mut self, row: Vec<Value>) -> Outcome<()> {
        let row = Value::Array(row);
        self.grow(&row)?;
        self.rows.push(row);
        Ok(())
    }

    pub(crate) fn finish(self, rows_affected: u64) -> Value {
        json!({"columns": self.columns, "rows": self.rows, "rows_affected": rows_affected})
    }

    fn grow(&mut self, by: &Value) -> Outcome<()> {
        self.length += u64::try_from(by.to_string().len() + 1).unwrap_or(u64::MAX);
        if self.length > self.bound { Err(Refusal::too_large("the result", self.bound)) } else { Ok(()) }
    }
}

/// Most bytes of a result.
pub(crate) fn bound(bounds: &Bounds) -> u64 {
    bounds.max_bytes.unwrap_or(USUAL).min(MAX_CONTENT)
}

/// When it must be done.
pub(crate) fn deadline(bounds: &Bounds) -> Instant {
    /// More than a day is as good as a day.
    const LONGEST: u64 = 86_400_000;
    Instant::now() + Duration::from_millis(bounds.timeout_ms.min(LONGEST))
}

/// A floating-point number; those that JSON does not have are text.
pub(crate) fn real(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// Bytes that are no text.
pub(crate) fn binary(bytes: &[u8]) -> Value {
    json!({"base64": STANDARD.encode(bytes)})
}

/// Text, or bytes that should have been.
pub(crate) fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| binary(bytes), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::action::RefusalReason;

    #[test]
    fn a_result_that_does_not_fit_is_refused_when_it_no_longer_does() {
        let bounds = Bounds { max_bytes: Some(20), ..Bounds::default() };
        let mut table = Table::new(vec!["a".to_owned()], &bounds).unwrap();
        table.push(vec![1.into()]).unwrap();
        assert_eq!(table.push(vec!["longer than that".into()]).unwrap_err().reason, RefusalReason::TooLarge);
        assert_eq!(table.finish(0), json!({"columns": ["a"], "rows": [[1]], "rows_affected": 0}));
    }

    #[test]
    fn numbers_that_json_lacks_are_text() {
        assert_eq!(real(0.5), json!(0.5));
        assert_eq!([real(f64::NAN), real(f64::INFINITY), real(f64::NEG_INFINITY)], ["NaN", "Infinity", "-Infinity"]);
        assert_eq!(text(&[0xff]), json!({"base64": "/w=="}));
    }
}
