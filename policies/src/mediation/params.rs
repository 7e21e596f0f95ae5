//! What a request says to a registered action, compared with what the operator has declared.

use serde_json::{Map, Value};

use crate::mediation::{ParamType, RegisteredAction};
use crate::nearest::nearest;
use crate::parse_error::printable;

/// Why the parameters of a request are not those of the action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// The action has no such parameter.
    #[error("`{action}` has no parameter `{name}`: expected {expected}")]
    Unknown {
        /// The action.
        action: String,
        /// What the request named.
        name: String,
        /// The nearest that exists, or all.
        expected: String,
    },
    /// It must be there.
    #[error("the parameter `{name}` is missing: expected {expected}")]
    Missing {
        /// Which one.
        name: String,
        /// What its values are.
        expected: &'static str,
    },
    /// It is something else.
    #[error("the parameter `{name}` is {found}: expected {expected}")]
    WrongType {
        /// Which one.
        name: String,
        /// What it is.
        found: &'static str,
        /// What its values are.
        expected: &'static str,
    },
    /// It is too long.
    #[error("the parameter `{name}` has {bytes} bytes: expected at most {most}")]
    TooLong {
        /// Which one.
        name: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: u32,
    },
}

impl RegisteredAction {
    /// Checks what a request says: every parameter is declared and of its type, and none is missing.
    ///
    /// # Errors
    /// The first that is wrong, with what was expected.
    pub fn check(&self, params: &Map<String, Value>) -> Result<(), ParamError> {
        for (name, value) in params {
            let Some(param) = self.params.get(name.as_str()) else { return Err(self.unknown(name)) };
            if !is(value, param.kind) {
                let (found, expected) = (described(value), expected(param.kind));
                return Err(ParamError::WrongType { name: name.clone(), found, expected });
            }
            let bytes = value.as_str().map_or(0, str::len);
            if let Some(most) = param.max_length().filter(|most| u32::try_from(bytes).map_or(true, |len| len > *most)) {
                return Err(ParamError::TooLong { name: name.clone(), bytes, most });
            }
        }
        let missing = self.params.iter().find(|(name, param)| param.required() && !params.contains_key(name.as_str()));
        missing.map_or(Ok(()), |(name, param)| {
            Err(ParamError::Missing { name: name.to_string(), expected: expected(param.kind) })
        })
    }

    fn unknown(&self, name: &str) -> ParamError {
        let known = || self.params.keys().map(|known| known.as_str());
        let expected = match nearest(name, known()) {
            Some(near) => format!("`{near}`"),
            None if self.params.is_empty() => "none".to_owned(),
            None => format!("one of {}", known().collect::<Vec<_>>().join(", ")),
        };
        ParamError::Unknown { action: self.name.to_string(), name: printable(name), expected }
    }
}

fn is(value: &Value, kind: ParamType) -> bool {
    match kind {
        ParamType::String => value.is_string(),
        ParamType::Integer => value.is_i64() || value.is_u64(),
        ParamType::Number => value.is_number(),
        ParamType::Boolean => value.is_boolean(),
    }
}

fn expected(kind: ParamType) -> &'static str {
    match kind {
        ParamType::String => "a string",
        ParamType::Integer => "an integer",
        ParamType::Number => "a number",
        ParamType::Boolean => "true or false",
    }
}

fn described(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
