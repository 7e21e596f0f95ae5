//! Errors of the interface `io.agentos.Control`: each names its object and, where there is one, the remedy.

use crate::agent::State;
use crate::exit_code;
use crate::wire::Reply;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The interface's prefix in front of an error's name.
pub const PREFIX: &str = "io.agentos.Control.";

/// A refusal, as it travels: the variant's name is the error's, its fields the error's parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", content = "parameters")]
pub enum ControlError {
    /// No agent of that name.
    #[error("no agent is named {name:?}{}", known_names(known))]
    NoSuchAgent {
        /// What was asked for.
        name: String,
        /// Names that exist (at most 20).
        known: Vec<String>,
    },
    /// Nothing is remembered under that name, as far as the caller may know.
    #[error("nothing is remembered under the name {name:?}{}", known_memories(known))]
    NoSuchMemory {
        /// What was asked for.
        name: String,
        /// Names that remember something (at most 20).
        known: Vec<String>,
    },
    /// No approval has that name, or it is another user's.
    #[error("no action {id} waits for approval (agentctl approvals lists those that do)")]
    NoSuchApproval {
        /// What was asked for.
        id: String,
    },
    /// The approval cannot be decided so.
    #[error("{id} cannot be decided: {why}")]
    WrongApproval {
        /// Which.
        id: String,
        /// Why, and what to do.
        why: String,
    },
    /// It must be recorded before it is done, and cannot be.
    #[error("nothing was done, because it cannot be recorded: {message}")]
    NoAudit {
        /// Why, and the remedy.
        message: String,
    },
    /// What the name remembers is in use.
    #[error("the memory of {name:?} is in use: {why}")]
    MemoryBusy {
        /// The name.
        name: String,
        /// By whom, and what to do.
        why: String,
    },
    /// The name belongs to another agent, living or ended.
    #[error("the name {name:?} is taken by an agent that is {}; remove it (agentctl rm {name}) or choose another", state_word(*state))]
    NameInUse {
        /// The name.
        name: String,
        /// The state of the agent that has it.
        state: State,
    },
    /// The agent's state does not allow the request.
    #[error("{request} {name}: the agent is {}; {why}", state_word(*state))]
    WrongState {
        /// The agent.
        name: String,
        /// The request.
        request: String,
        /// Its state.
        state: State,
        /// Why that matters, and what to do.
        why: String,
    },
    /// The policy could not be used.
    #[error("{message}")]
    BadPolicy {
        /// The policy's own error, with file, line and what was expected.
        message: String,
    },
    /// The sandbox could not be built; the command was surely not run.
    #[error("the agent was not started: {message}")]
    NotStarted {
        /// Which step failed, on what, and the remedy.
        message: String,
    },
    /// The command does not exist inside the sandbox, or may not be executed there.
    #[error("cannot execute {command:?} inside the sandbox: {message}")]
    CannotExecute {
        /// The program.
        command: String,
        /// Why.
        message: String,
        /// Whether the program is absent (exit code 127) or present (126).
        absent: bool,
    },
    /// The caller may not do that.
    #[error("{what} is not allowed for uid {uid}: {why}")]
    NotPermitted {
        /// What was asked.
        what: String,
        /// Who asked.
        uid: u32,
        /// Why not, and the remedy.
        why: String,
    },
    /// A parameter is missing or wrong.
    #[error("{method}: parameter {parameter:?}: {expected}")]
    BadParameter {
        /// The method.
        method: String,
        /// The parameter, or empty when the object as a whole is wrong.
        parameter: String,
        /// What was expected.
        expected: String,
    },
    /// A bound of the daemon is reached.
    #[error("{what}: the limit is {limit}; {remedy}")]
    Limit {
        /// What there is too much of.
        what: String,
        /// The bound.
        limit: u64,
        /// What to do.
        remedy: String,
    },
    /// The daemon failed at something that is nobody's request.
    #[error("agentosd failed: {message}")]
    Internal {
        /// What it was doing, and the cause.
        message: String,
    },
}

fn known_names(known: &[String]) -> String {
    match known {
        [] => "; there is no agent (agentctl ps --all lists ended ones too)".to_owned(),
        names => format!("; there is {}", names.join(", ")),
    }
}

fn known_memories(known: &[String]) -> String {
    match known {
        [] => "; no name remembers anything".to_owned(),
        names => format!("; there is {}", names.join(", ")),
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Running => "running",
        State::Stopped => "stopped",
        State::Exited => "ended",
    }
}

impl ControlError {
    /// The exit code of `agentctl` for this refusal.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoSuchAgent { .. } | Self::NoSuchMemory { .. } | Self::NoSuchApproval { .. } => {
                exit_code::NO_SUCH_AGENT
            }
            Self::NameInUse { .. } => exit_code::NAME_IN_USE,
            Self::WrongState { .. } | Self::MemoryBusy { .. } | Self::WrongApproval { .. } => exit_code::WRONG_STATE,
            Self::BadPolicy { .. } => exit_code::BAD_POLICY,
            Self::NotStarted { .. } => exit_code::NOT_STARTED,
            Self::CannotExecute { absent: true, .. } => exit_code::NOT_FOUND,
            Self::CannotExecute { absent: false, .. } => exit_code::NOT_EXECUTABLE,
            Self::NotPermitted { .. } => exit_code::NOT_PERMITTED,
            Self::BadParameter { .. } => exit_code::USAGE,
            Self::Limit { .. } | Self::NoAudit { .. } | Self::Internal { .. } => exit_code::FAILED,
        }
    }

    /// The error as a reply on the wire.
    #[must_use]
    pub fn to_reply(&self) -> Reply {
        let mut reply = Reply { error: Some(format!("{PREFIX}Internal")), ..Reply::default() };
        if let Ok(Value::Object(mut tagged)) = serde_json::to_value(self) {
            if let Some(Value::String(name)) = tagged.get("error") {
                reply.error = Some(format!("{PREFIX}{name}"));
            }
            if let Some(Value::Object(parameters)) = tagged.remove("parameters") {
                reply.parameters = parameters;
            }
        }
        reply
    }

    /// The same for a caller of another interface that has this error too.
    #[must_use]
    pub fn to_reply_of(&self, interface: &str) -> Reply {
        let mut reply = self.to_reply();
        let name = reply.error.as_deref().and_then(|error| error.strip_prefix(PREFIX)).unwrap_or("Internal");
        reply.error = Some(format!("{interface}.{name}"));
        reply
    }

    /// The error in a reply, when it is one of this interface.
    #[must_use]
    pub fn from_reply(reply: &Reply) -> Option<Self> {
        let name = reply.error.as_deref()?.strip_prefix(PREFIX)?;
        serde_json::from_value(serde_json::json!({ "error": name, "parameters": reply.parameters })).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_wire() {
        let error = ControlError::NameInUse { name: "a".into(), state: State::Exited };
        let reply = error.to_reply();
        assert_eq!(reply.error.as_deref(), Some("io.agentos.Control.NameInUse"));
        assert_eq!(ControlError::from_reply(&reply), Some(error));
    }

    #[test]
    fn an_unknown_name_says_which_exist() {
        let error = ControlError::NoSuchAgent { name: "x".into(), known: vec!["a".into(), "b".into()] };
        assert_eq!(error.to_string(), "no agent is named \"x\"; there is a, b");
    }
}
