//! The interface `io.agentos.Kernel`, which an agent calls over its own `/run/agentos/kernel.sock`.

use crate::action::{ActionError, Context, Execute, ExecuteReply};
use crate::control::{Interface, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The interface's name.
pub const NAME: &str = "io.agentos.Kernel";

/// The interface in Varlink's own language.
pub const INTERFACE: &str = include_str!("io.agentos.Kernel.varlink");

/// Every method's name.
pub const METHODS: &[&str] = &["Execute", "Check"];

/// The interface, as a service describes it.
pub const SELF: Interface = Interface { name: NAME, text: INTERFACE, methods: METHODS };

/// How a request would be answered, without doing anything; not recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The action.
    pub action: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// What narrows it.
    #[serde(default)]
    pub context: Context,
}

/// What would be answered, as far as the request alone tells: links that a path leads through are not looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckReply {
    /// `allow`, `require_approval` or `deny`.
    pub decision: String,
    /// The rule that decided, with its file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ActionError>,
}

impl Method for Execute {
    const INTERFACE: Interface = SELF;
    const NAME: &'static str = "Execute";
    type Reply = ExecuteReply;
}

impl Method for Check {
    const INTERFACE: Interface = SELF;
    const NAME: &'static str = "Check";
    type Reply = CheckReply;
}
