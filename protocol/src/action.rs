//! Actions: what an agent asks the daemon to do for it, and what it is told.
//!
//! A request is whole: the action, its parameters and the policies that narrow it further. Who asks is known from the socket
//! and never from the request, so a node with the same policies gives the same answer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A request: `{"action": …, "params": {…}, "context": {…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execute {
    /// The action's name: `file_read`, `database_query`, or one that the operator has registered.
    pub action: String,
    /// Its parameters; docs/actions.md says which each action takes.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// What narrows it, and what it refers to.
    #[serde(default)]
    pub context: Context,
}

/// What comes with a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// From an operator: for which agent. From an agent: nothing; what it says is recorded and has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Built-in policies that narrow this request: `read_only`, `no_pii`, `strict`. They cannot widen anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The approval that this request is to use, as an earlier reply named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalId>,
    /// Whatever else the caller said; it has no effect and is recorded.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecuteReply {
    /// Whether it was done.
    pub success: bool,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ActionError>,
    /// The signal that the kernel of Agent OS answered with, such as `SIGPOLICY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// This request's own name, in the audit log too.
    pub request_id: String,
    /// The audit record of the decision; absent when none could be written, and then nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_seq: Option<u64>,
}

/// Why an action was not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionError {
    /// For programs: one of a fixed list.
    pub reason: RefusalReason,
    /// For people, with the remedy where there is one.
    pub message: String,
    /// The rule that decided, with its file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The approval that the action waits for, or that did not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalId>,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal),* $(,)?) => {
        /// Why an action was not done; the list is fixed, so that programs can rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum RefusalReason {
            $($(#[doc = $doc])+ #[serde(rename = $word)] $variant,)*
        }

        impl RefusalReason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word for programs.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

reasons! {
    /// No rule allows it.
    NothingGranted = "nothing_granted",
    /// A rule denies it.
    DeniedByRule = "denied_by_rule",
    /// A narrowing policy allows other requests for the action, and not this one.
    NotInLayer = "not_in_layer",
    /// It would change something where only reading is allowed.
    ReadOnly = "read_only",
    /// It is larger than allowed.
    TooLarge = "too_large",
    /// There is no such action.
    UnknownAction = "unknown_action",
    /// A narrowing policy that the request names does not exist.
    UnknownPolicy = "unknown_policy",
    /// A parameter is missing.
    IncompleteRequest = "incomplete_request",
    /// A parameter is wrong or unknown.
    BadParameter = "bad_parameter",
    /// What a rule allows in a while has been done.
    RateExceeded = "rate_exceeded",
    /// What a rule allows in an agent's life has been done.
    CountExceeded = "count_exceeded",
    /// The same action was asked for too often in a row.
    RepeatedAction = "repeated_action",
    /// Nobody approved it in time.
    ApprovalTimeout = "approval_timeout",
    /// A person denied it.
    ApprovalDenied = "approval_denied",
    /// The approval is for another action, or what it was shown for has changed.
    ApprovalActionMismatch = "approval_action_mismatch",
    /// The approval has been used, has run out or was never given.
    ApprovalInvalid = "approval_invalid",
    /// Too many of the agent's actions wait for approval.
    ApprovalFlood = "approval_flood",
    /// The path, program, key or database does not exist.
    NotFound = "not_found",
    /// The path leads out of what is granted, or through a link where none is followed.
    PathEscapes = "path_escapes",
    /// The path is what the host or Agent OS itself needs, and no action touches it.
    PathReserved = "path_reserved",
    /// It is not a regular file, or not what the action is for.
    WrongType = "wrong_type",
    /// The host refused: permissions, a full disk, a quota.
    HostRefused = "host_refused",
    /// The database refused the statement, or does not understand it.
    StatementRefused = "statement_refused",
    /// It took longer than allowed and was ended.
    Timeout = "timeout",
    /// This version or this host has nothing that could do it.
    NotAvailable = "not_available",
    /// The agent is stopped or has ended.
    AgentNotRunning = "agent_not_running",
    /// The agent was stopped or ended while it was done. How much of it was done nobody knows.
    Interrupted = "interrupted",
    /// Too many of the agent's actions are under way.
    Busy = "busy",
    /// The audit log cannot be written, so nothing may be done.
    AuditUnavailable = "audit_unavailable",
    /// The daemon is about to end or to be replaced, and did nothing. The next one can be asked.
    DaemonLeaving = "daemon_leaving",
    /// The daemon or its helper failed.
    Internal = "internal",
}

/// The name of an approval: `ap-` and a number that is given out once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApprovalId(u64);

/// A text that is no approval's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no approval: expected a name such as ap-7")]
pub struct BadApproval(String);

impl ApprovalId {
    /// The approval with this number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0
    }

    /// Reads a name.
    ///
    /// # Errors
    /// The text is none.
    ///
    /// ```
    /// use protocol::action::ApprovalId;
    /// assert_eq!(ApprovalId::parse("ap-7").map(|id| id.number()), Ok(7));
    /// assert!(ApprovalId::parse("7").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, BadApproval> {
        let digits = text.strip_prefix("ap-").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        number.map(Self).ok_or_else(|| BadApproval(text.chars().take(80).collect()))
    }
}

impl std::fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ap-{}", self.0)
    }
}

impl TryFrom<String> for ApprovalId {
    type Error = BadApproval;
    fn try_from(text: String) -> Result<Self, BadApproval> {
        Self::parse(&text)
    }
}

impl From<ApprovalId> for String {
    fn from(id: ApprovalId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_request_is_accepted_as_it_stands() {
        let text = r#"{"action": "database_query",
            "params": {"query": "SELECT * FROM users"},
            "context": {"agent_id": "analyst-001", "policies": ["read_only", "no_pii"]}}"#;
        let request: Execute = serde_json::from_str(text).unwrap();
        assert_eq!(request.action, "database_query");
        assert_eq!(request.context.agent_id.as_deref(), Some("analyst-001"));
        assert_eq!(request.context.policies, ["read_only", "no_pii"]);
    }

    #[test]
    fn reasons_are_written_as_their_words() {
        for reason in RefusalReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        }
    }
}
