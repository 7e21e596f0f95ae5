//! From a call's parameters to a request's type, with errors that name the parameter.

use super::turn::{SMALL, aside, aside_if_large};
use protocol::control::Method;
use protocol::error::ControlError;
use serde_json::{Map, Value};

/// A call's parameters, which a peer can make so many that all that is done with them takes long.
#[derive(Debug)]
pub(crate) struct Parameters {
    map: Map<String, Value>,
    size: usize,
}

impl Parameters {
    /// Parameters out of a message of `size` bytes.
    pub(super) fn new(map: Map<String, Value>, size: usize) -> Self {
        Self { map, size }
    }

    /// A parameter that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.map.get(name)?.as_str()
    }

    /// Bytes of the message that they came in.
    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        if self.size > SMALL && !self.map.is_empty() {
            aside(|| self.map.clear());
        }
    }
}

/// Reads the parameters of `M`.
pub(crate) fn parse<M: Method>(mut parameters: Parameters) -> Result<M, ControlError> {
    let map = std::mem::take(&mut parameters.map);
    aside_if_large(parameters.size, || read(map))
}

/// Null is the same as absent, at any depth; a parameter that the method does not have is refused, because what it asks
/// for would silently not happen.
fn read<M: Method>(parameters: Map<String, Value>) -> Result<M, ControlError> {
    let Value::Object(parameters) = without_null(Value::Object(parameters)) else { return Err(wrong::<M>("", "")) };
    let known = names_of(M::INTERFACE.text, M::NAME);
    if let Some(unknown) = parameters.keys().find(|name| !known.contains(&name.as_str())) {
        let list = if known.is_empty() { "the method has none".to_owned() } else { known.join(", ") };
        return Err(wrong::<M>(unknown, &format!("there is no such parameter; expected: {list}")));
    }
    match serde_json::from_value::<M>(Value::Object(parameters.clone())) {
        Ok(request) => Ok(request),
        Err(error) => Err(wrong::<M>(&blame::<M>(parameters, &known), &error.to_string())),
    }
}

fn wrong<M: Method>(parameter: &str, expected: &str) -> ControlError {
    ControlError::BadParameter {
        method: M::NAME.to_owned(),
        parameter: parameter.to_owned(),
        expected: expected.to_owned(),
    }
}

fn without_null(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_null(v))).collect())
        }
        other => other,
    }
}

/// Which parameter is wrong: the first without which the error is another one.
fn blame<M: Method>(parameters: Map<String, Value>, known: &[&str]) -> String {
    let mut tried = Map::new();
    for (name, value) in parameters {
        tried.insert(name.clone(), value);
        match serde_json::from_value::<M>(Value::Object(tried.clone())).map_err(|error| error.to_string()) {
            Ok(_) => {}
            Err(error) if missing(&error).is_some_and(|field| known.contains(&field)) => {}
            Err(_) => return name,
        }
    }
    let error = serde_json::from_value::<M>(Value::Object(tried)).err().map(|error| error.to_string());
    error.as_deref().and_then(missing).unwrap_or_default().to_owned()
}

fn missing(error: &str) -> Option<&str> {
    error.strip_prefix("missing field `")?.split('`').next()
}

/// The parameters of a method, from the interface's own description.
fn names_of(interface: &'static str, method: &str) -> Vec<&'static str> {
    let head = format!("\nmethod {method}(");
    let Some((_, rest)) = interface.split_once(&head) else { return Vec::new() };
    let lines = rest.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut names = Vec::new();
    for line in lines {
        let (fields, ends) = line.split_once(')').map_or((line, false), |(fields, _)| (fields, true));
        names.extend(fields.split(',').filter_map(|field| Some(field.split_once(':')?.0.trim())));
        if ends {
            break;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::control::{INTERFACE, Kill, List, METHODS, Run};
    use protocol::kernel;
    use serde_json::json;

    fn blamed<M: Method + std::fmt::Debug>(value: Value) -> String {
        let Value::Object(map) = value else { panic!() };
        match read::<M>(map) {
            Err(ControlError::BadParameter { parameter, .. }) => parameter,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_wrong_parameter_is_named() {
        assert_eq!(blamed::<Kill>(json!({"name": "a"})), "signal");
        assert_eq!(blamed::<Kill>(json!({"signal": "TERM"})), "name");
        assert_eq!(blamed::<Kill>(json!({"name": "../x", "signal": "TERM"})), "name");
        assert_eq!(blamed::<Kill>(json!({"name": "a", "signal": "NOPE"})), "signal");
        assert_eq!(blamed::<Kill>(json!({"name": "a", "signal": "TERM", "grace_ms": -1})), "grace_ms");
        assert_eq!(blamed::<Run>(json!({"command": ["x"], "workspace": {"read_only": true}})), "workspace");
        assert_eq!(blamed::<Run>(json!({"command": "x"})), "command");
        assert_eq!(blamed::<Run>(json!({"command": ["x"], "sandbox": false})), "sandbox");
        assert_eq!(blamed::<List>(json!({"all": "yes"})), "all");
    }

    #[test]
    fn null_is_absent() {
        let Value::Object(map) = json!({"command": ["x"], "name": null, "env": null, "stdio": {"terminal": null}})
        else {
            panic!()
        };
        assert!(read::<Run>(map).is_ok());
    }

    #[test]
    fn every_methods_parameters_are_known_from_the_description() {
        assert_eq!(names_of(kernel::INTERFACE, "Execute"), ["action", "params", "context"]);
        assert_eq!(names_of(INTERFACE, "Kill"), ["name", "signal", "exec", "grace_ms"]);
        let none = ["Doctor", "AuditStatus", "Services", "ReloadServices"];
        for method in METHODS.iter().filter(|method| !none.contains(*method)) {
            assert!(!names_of(INTERFACE, method).is_empty(), "{method}");
        }
    }
}
