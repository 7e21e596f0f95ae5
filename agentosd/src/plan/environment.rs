//! The environment: what the policy names, what `--env` gives, and the few variables that every program expects.

use super::{HOME, bad_parameter};
use policies::Bound;
use protocol::control::Run;
use protocol::error::ControlError;
use protocol::ids::AgentName;
use std::collections::BTreeMap;

/// Where programs are looked for when neither the policy nor the caller says.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The whole environment, as `NAME=value`, sorted. Later sources win: defaults, policy, `--env`, our own.
pub(super) fn of(bound: &Bound, request: &Run, name: &AgentName) -> Result<Vec<String>, ControlError> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in [("HOME", HOME), ("USER", "agent"), ("LOGNAME", "agent"), ("PATH", PATH)] {
        all.insert(name.to_owned(), value.to_owned());
    }
    let from_caller = |wanted: &str| request.caller_env.iter().find(|(name, _)| name == wanted).map(|(_, v)| v.clone());
    if request.stdio.terminal.is_some() {
        all.insert("TERM".to_owned(), from_caller("TERM").unwrap_or_else(|| "xterm".to_owned()));
    }
    for variable in &bound.env {
        let given = variable.value.clone().or_else(|| from_caller(variable.name.as_str()));
        if let Some(value) = given {
            all.insert(variable.name.to_string(), value);
        }
    }
    all.extend(request.env.iter().cloned());
    all.insert("AGENTOS_NAME".to_owned(), name.to_string());
    joined(all)
}

/// An agent's environment with further variables.
pub(crate) fn extend(own: &[String], more: &[(String, String)]) -> Result<Vec<String>, ControlError> {
    let pairs = own.iter().filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned()));
    joined(pairs.chain(more.iter().cloned()).collect())
}

fn joined(all: BTreeMap<String, String>) -> Result<Vec<String>, ControlError> {
    for (name, value) in &all {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let expected = format!("{name:?} is no variable: a name has no '=' and neither part has a NUL byte");
            return Err(bad_parameter("env", &expected));
        }
    }
    Ok(all.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}
