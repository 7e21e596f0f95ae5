//! What becomes of an agent while no daemon is there.

use policies::{Bound, Orphaned, Requests};
use protocol::error::ControlError;
use protocol::{kernel, wire};
use sandbox::plan::{Orphan, Stay, Then};

/// As the policy says.
pub(super) fn of(bound: &Bound) -> Result<Stay, ControlError> {
    let (orphan, seconds) = bound.without_daemon.orphan();
    let then = match orphan {
        Orphaned::Keep => None,
        Orphaned::Stop => Some(Then::Stop),
        Orphaned::Kill => Some(Then::Kill),
    };
    let orphan = then.map(|then| Orphan { after_ms: seconds.saturating_mul(1000), then });
    let refusal = match bound.without_daemon.requests() {
        Requests::Wait => None,
        Requests::Refuse => Some(refusal()?),
    };
    Ok(Stay { orphan, refusal })
}

/// What an agent hears that asks while nobody can decide.
fn refusal() -> Result<String, ControlError> {
    let message =
        "agentosd is not running, and this agent's policy has requests refused meanwhile (without_daemon.requests)";
    let reply = ControlError::Internal { message: message.to_owned() }.to_reply_of(kernel::SELF.name);
    let bytes = wire::encode(&reply).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.ok_or_else(|| ControlError::Internal { message: "a refusal cannot be written".to_owned() })
}
