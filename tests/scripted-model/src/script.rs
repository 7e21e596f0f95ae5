//! The script: what the model will ask for, in order.
//!
//! ```json
//! {"variables": ["HOST_PORT"],
//!  "steps": [{"label": "reach the host's loopback", "run": "curl http://127.0.0.1:${HOST_PORT}"},
//!            {"wait": 5},
//!            {"say": "All done."}]}
//! ```
//! `variables` names environment variables that are filled in when the script is loaded. Only those are touched: any
//! other `${…}` belongs to the shell.

use std::{env, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// A checked script with its variables filled in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    #[serde(default)]
    variables: Vec<String>,
    /// What happens, in order; a final text, if any, is last.
    pub(crate) steps: Vec<Step>,
}

/// One thing that the model does.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Step {
    /// Asks for a shell command.
    Run {
        /// What the command attempts, in words.
        label: String,
        /// The command, for a POSIX shell.
        run: String,
    },
    /// Thinks for so many seconds: the CLI is kept waiting, its children run on.
    Wait {
        /// How long, in seconds.
        wait: u64,
    },
    /// Ends the turn with a text.
    Say {
        /// The text.
        say: String,
    },
}

impl Script {
    /// Reads, checks and fills in the script at `path`.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("failed to read the script {}", path.display()))?;
        Self::parse(&text, |name| env::var(name).ok()).with_context(|| format!("in the script {}", path.display()))
    }

    fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut script: Self = serde_json::from_str(text).context("expected {variables, steps}")?;
        for name in &script.variables {
            let Some(value) = variable(name) else {
                bail!("the variable {name} is not set; give it in the environment");
            };
            for step in &mut script.steps {
                step.fill_in(name, &value);
            }
        }
        let last = script.steps.len().saturating_sub(1);
        if script.steps.iter().take(last).any(|step| matches!(step, Step::Say { .. })) {
            bail!("a \"say\" ends the turn, so it can only be the last step");
        }
        Ok(script)
    }
}

impl Step {
    fn fill_in(&mut self, name: &str, value: &str) {
        let pattern = format!("${{{name}}}");
        match self {
            Self::Run { label, run } => {
                *label = label.replace(&pattern, value);
                *run = run.replace(&pattern, value);
            }
            Self::Say { say } => *say = say.replace(&pattern, value),
            Self::Wait { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_variables_are_filled_in() {
        let text = r#"{"variables": ["PORT"], "steps": [{"label": "l", "run": "echo ${PORT} ${HOME}"}]}"#;
        let script = Script::parse(text, |_| Some("80".to_owned())).expect("a valid script");
        let Step::Run { run, .. } = &script.steps[0] else { panic!("not a command: {:?}", script.steps[0]) };
        assert_eq!(run, "echo 80 ${HOME}");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = Script::parse(r#"{"variables": ["PORT"], "steps": []}"#, |_| None).expect_err("PORT is not set");
        assert!(error.to_string().contains("PORT"), "{error}");
    }

    #[test]
    fn steps_after_the_last_word_are_refused() {
        let text = r#"{"steps": [{"say": "bye"}, {"wait": 1}]}"#;
        assert!(Script::parse(text, |_| None).is_err());
    }
}
