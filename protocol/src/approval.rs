//! Approvals: actions that wait for a person, as the person sees them.

use crate::action::ApprovalId;
use crate::event::Caller;
use crate::ids::{AgentId, AgentName, TimeUs};
use serde::{Deserialize, Serialize};

/// An action that waits for a person, or waited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Its name.
    pub id: ApprovalId,
    /// Which agent asks.
    pub agent: AgentName,
    /// Its run.
    pub run: AgentId,
    /// The user that asked for the agent; who may decide, besides root.
    pub owner: u32,
    /// Where it stands.
    pub state: ApprovalState,
    /// The action.
    pub action: String,
    /// What would be done, a line: `file_write /work/x (412 bytes)`. Not escaped.
    pub summary: String,
    /// All of it: a difference of a file, the arguments, the statement. Not escaped.
    pub details: String,
    /// The rule that asks for a person.
    pub rule: String,
    /// SHA-256 of the exact action, in hexadecimal.
    pub digest: String,
    /// What was there when it was shown and would be changed; the action is refused when it is something else by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_state: Option<String>,
    /// When it was asked for.
    pub created_us: TimeUs,
    /// When the present state runs out.
    pub expires_us: TimeUs,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Caller>,
    /// Why, in the words of whoever decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Where an approval stands.
///
/// ```text
///   pending ──► approved ──► used
///      │            └──────► expired
///      ├──────► denied
///      └──────► expired
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Somebody is to decide.
    Pending,
    /// It may be done, once.
    Approved,
    /// It was done.
    Used,
    /// It may not be done.
    Denied,
    /// Nobody decided, or nobody used it, in time.
    Expired,
}
