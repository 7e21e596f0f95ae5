//! Methods of `io.agentos.Control` about actions, the audit log and approvals.

use crate::action::{ApprovalId, Context};
use crate::approval::Approval;
use crate::control::PolicyChoice;
use crate::ids::AgentName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Does an action as an agent could ask for it: `context.agent_id` says which. Of a living agent the policy in force
/// decides; for a name without one the policy that is given here, or the daemon's default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Perform {
    /// The action.
    pub action: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// For whom, and what narrows it.
    #[serde(default)]
    pub context: Context,
    /// The policy, when no agent of that name lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyChoice>,
}

/// The audit log: records of the caller's agents, of all for root. With `more` in pages, and with `follow` on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditLog {
    /// The first record; without it, and without `last`, the oldest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Only so many of the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Go on.
    #[serde(default)]
    pub follow: bool,
    /// Only one agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<AgentName>,
}

/// A page of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLogReply {
    /// In order, each byte for byte as its line is in the file: that is what is hashed.
    pub records: Vec<String>,
}

/// How the audit log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditStatus {}

/// How it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditStatusReply {
    /// The directory of its files.
    pub directory: String,
    /// The public key, as `docs/audit-format.md` writes it.
    pub key: String,
    /// Records that are sealed.
    pub size: u64,
    /// The first record that is kept.
    pub oldest: u64,
    /// Why nothing can be recorded now; nothing that needs a record is done then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Actions that wait for a person; with `follow` (needs `more`) a reply whenever that changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvals {
    /// Decided and expired ones too, as long as they are kept.
    #[serde(default)]
    pub all: bool,
    /// Go on.
    #[serde(default)]
    pub follow: bool,
    /// Only this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ApprovalId>,
}

/// What there is now, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalsReply {
    /// The approvals.
    pub approvals: Vec<Approval>,
    /// Requests that were refused because too many waited, since the daemon's start.
    pub refused: u64,
}

/// Approves or denies an action that waits; root, or whoever asked for the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecideApproval {
    /// Which.
    pub id: ApprovalId,
    /// The digest of what the person saw, so that nothing else is approved.
    pub digest: String,
    /// Whether it may be done.
    pub approve: bool,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
