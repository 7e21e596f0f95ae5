//! A client that another daemon had: its streams are still connected, and it waits again.

use crate::agent::{ExecId, Exit};
use crate::ids::AgentName;
use serde::{Deserialize, Serialize};

/// Waits again for what a connection waited for that an earlier daemon has taken with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejoin {
    /// The agent.
    pub name: AgentName,
    /// The further process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecId>,
    /// It is hung up when the connection closes, as after `Run` and `Exec`; otherwise only the client leaves, as after
    /// `Attach`.
    pub foreground: bool,
}

/// The answer: at once, and again at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejoinReply {
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}
