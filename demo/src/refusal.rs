//! Which layer said no: the errno that the agent saw, and the kernel's denial log where it has an entry.

use anyhow::{Context, Result};
use serde_json::{Deserializer, Value};

use crate::{daemon::Daemon, journal::Attempt};

/// EACCES, which Landlock gives as well as file permissions do.
const DENIED: &str = "Permission denied";
/// How each errno reads in a shell's words, and what in this sandbox gives it.
const REASONS: [(&str, &str); 9] = [
    ("No such file or directory", "mount view: it is not there (ENOENT)"),
    // dash's words for it, when a redirection's directory is missing.
    ("Directory nonexistent", "mount view: it is not there (ENOENT)"),
    ("Read-only file system", "mount view: read-only (EROFS)"),
    (DENIED, "file permissions of its own uid (EACCES)"),
    ("Connection refused", "network namespace: its own loopback (ECONNREFUSED)"),
    ("Network is unreachable", "network namespace: no route (ENETUNREACH)"),
    ("No such process", "pid namespace: it is not there (ESRCH)"),
    ("Operation not permitted", "no capability, another uid (EPERM)"),
    ("Function not implemented", "seccomp (ENOSYS)"),
];

/// The kernel's denials of one agent.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Vec<(String, String)>);

impl Refusals {
    /// Asks agentctl for those of `name`.
    pub(crate) fn of(daemon: &Daemon, name: &str) -> Result<Self> {
        let text = daemon.ask(&["denials", "--json", name])?;
        let mut found = Self::default();
        for value in Deserializer::from_str(&text).into_iter::<Value>() {
            found.collect(&value.context("agentctl denials did not print JSON")?);
        }
        Ok(found)
    }

    /// Takes every object that names a layer, however deep the reply puts it.
    fn collect(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.collect(value)),
            Value::Object(fields) => match (fields.get("layer"), fields.get("object")) {
                (Some(Value::String(layer)), Some(Value::String(object))) => {
                    self.0.push((layer.clone(), object.clone()));
                }
                _ => fields.values().for_each(|value| self.collect(value)),
            },
            _ => {}
        }
    }

    fn layer(&self, command_or_output: &str) -> Option<&str> {
        let entry =
            self.0.iter().find(|(_, object)| object.len() > 1 && command_or_output.contains(object.as_str()))?;
        Some(&entry.0)
    }
}

/// The layer that stopped `attempt`, in words.
pub(crate) fn stopped_by(attempt: &Attempt, refusals: &Refusals) -> String {
    let logged = refusals.layer(&attempt.output);
    let seen = REASONS.iter().filter(|(words, _)| attempt.output.contains(words));
    let reasons: Vec<_> = seen
        .map(|(words, reason)| match logged {
            Some(layer) if *words == DENIED => format!("{layer}: not granted (EACCES, in the kernel's log)"),
            _ => (*reason).to_owned(),
        })
        .collect();
    match attempt.exit {
        _ if !reasons.is_empty() => reasons.join("; "),
        Some(status) => format!("unclear (exit status {status})"),
        None => "the command never came back".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn attempt(output: &str, exit: Option<i32>) -> Attempt {
        Attempt { step: 0, label: String::new(), output: output.to_owned(), exit }
    }

    #[test]
    fn the_kernels_log_is_believed_before_the_errno() {
        let mut refusals = Refusals::default();
        refusals.collect(&json!({"denials": [{"layer": "landlock", "object": "/etc/x"}]}));
        let denied = attempt("cat: /etc/x: Permission denied", Some(1));
        assert_eq!(stopped_by(&denied, &refusals), "landlock: not granted (EACCES, in the kernel's log)");
        assert!(stopped_by(&denied, &Refusals::default()).starts_with("file permissions"));
    }

    #[test]
    fn a_failure_without_a_known_reason_is_not_explained_away() {
        assert_eq!(stopped_by(&attempt("oops", Some(2)), &Refusals::default()), "unclear (exit status 2)");
        assert_eq!(stopped_by(&attempt("", None), &Refusals::default()), "the command never came back");
    }
}
