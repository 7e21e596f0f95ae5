//! Values as text: parameters to the server, results from it.

use super::connection::garbled;
use crate::refusal::{Outcome, Refusal};
use crate::table::{real, text};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::{DataRowBody, ParameterDescriptionBody, RowDescriptionBody};
use postgres_protocol::message::frontend::BindError;
use protocol::action::RefusalReason;
use serde_json::Value;
use std::error::Error;
use std::io;

/// A column's name, and how its text is to be read.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    kind: Kind,
}

/// Types that JSON has too; everything else stays text, as psql prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Integer,
    Real,
    Text,
}

impl Kind {
    /// By the type's number in `pg_type.dat`, which is fixed.
    fn of(oid: u32) -> Self {
        match oid {
            16 => Self::Bool,
            // int8, int2, int4, oid
            20 | 21 | 23 | 26 => Self::Integer,
            // float4, float8; numeric stays text, because it has more digits
            700 | 701 => Self::Real,
            _ => Self::Text,
        }
    }

    fn read(self, bytes: &[u8]) -> Value {
        let value = std::str::from_utf8(bytes).ok().and_then(|text| match self {
            Self::Bool => ["f", "t"].iter().position(|word| *word == text).map(|at| Value::Bool(at == 1)),
            Self::Integer => text.parse::<i64>().ok().map(Value::from),
            Self::Real => text.parse().ok().map(real),
            Self::Text => None,
        });
        value.unwrap_or_else(|| text(bytes))
    }
}

pub(super) fn columns(body: &RowDescriptionBody) -> Outcome<Vec<Column>> {
    let column =
        body.fields().map(|field| Ok(Column { name: field.name().to_owned(), kind: Kind::of(field.type_oid()) }));
    column.collect().map_err(|error| garbled(&error))
}

pub(super) fn row(columns: &[Column], body: &DataRowBody) -> Outcome<Vec<Value>> {
    let ranges: Vec<_> = body.ranges().collect().map_err(|error| garbled(&error))?;
    let cell = |(index, range): (usize, Option<std::ops::Range<usize>>)| {
        let kind = columns.get(index).map_or(Kind::Text, |column| column.kind);
        range.map_or(Value::Null, |range| kind.read(body.buffer().get(range).unwrap_or_default()))
    };
    Ok(ranges.into_iter().enumerate().map(cell).collect())
}

/// The number of parameters.
pub(super) fn count(body: &ParameterDescriptionBody) -> Outcome<usize> {
    body.parameters().count().map_err(|error| garbled(&error))
}

/// The rows that a command changed, from its tag: `UPDATE 3`, `INSERT 0 3`.
pub(super) fn affected(tag: &str) -> u64 {
    let changed = ["INSERT ", "UPDATE ", "DELETE ", "MERGE "].iter().any(|word| tag.starts_with(word));
    tag.rsplit(' ').next().filter(|_| changed).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A parameter as the server reads it.
pub(super) fn parameter(value: &Value) -> Outcome<Option<String>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(Refusal::new(
            RefusalReason::BadParameter,
            format!("{value} is no parameter: null, true, false, a number or text"),
        )),
    }
}

/// Puts a parameter into a message.
pub(super) fn write(parameter: &Option<String>, buffer: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
    let Some(text) = parameter else { return Ok(IsNull::Yes) };
    buffer.extend_from_slice(text.as_bytes());
    Ok(IsNull::No)
}

/// A message that cannot be.
pub(super) fn unwritten(error: BindError) -> io::Error {
    match error {
        BindError::Conversion(error) => io::Error::other(error),
        BindError::Serialization(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_that_json_has_are_values_and_the_rest_is_text() {
        assert_eq!(Kind::of(16).read(b"t"), json!(true));
        assert_eq!(Kind::of(20).read(b"-9223372036854775808"), json!(i64::MIN));
        assert_eq!(Kind::of(701).read(b"NaN"), json!("NaN"));
        assert_eq!(Kind::of(1700).read(b"1.10"), json!("1.10"));
        assert_eq!(Kind::of(25).read(b"\xff"), json!({"base64": "/w=="}));
        assert_eq!([affected("INSERT 0 3"), affected("DELETE 2"), affected("SELECT 9")], [3, 2, 0]);
    }
}
