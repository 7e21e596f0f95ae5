//! `agentctl audit`: what was recorded, and whether it can be believed.
//!
//! ```text
//!   log, show, export ──► source ──┬─ agentosd (AuditLog)       the caller's agents, for root all
//!                                  └─ the files (--dir)         no daemon
//!   verify, prove, export --bundle ──► the files                with a public key; the daemon is not to be believed
//!   check-proof                                                 with a public key only
//! ```

mod bundle;
mod check;
mod entry;
mod export;
mod filter;
mod key;
mod list;
mod place;
mod prove;
mod source;
mod verify;

pub(crate) use crate::moment::Moment;
pub(crate) use entry::Entry;
pub(crate) use filter::{DECISIONS, KINDS};
pub(crate) use key::KeyArgument;
pub(crate) use verify::{Finding, Verdict};

use crate::cli::audit::{Audit, Log};
use crate::failure::Failure;
use std::path::Path;

/// `agentctl audit …`.
pub(crate) fn audit(socket: &Path, command: Audit) -> Result<u8, Failure> {
    match command {
        Audit::Log(log) => list::log(socket, log),
        Audit::Follow(follow) => {
            let last = Some(follow.last);
            list::log(socket, Log { last, follow: true, which: follow.which, json: follow.json, ..Log::default() })
        }
        Audit::Show(show) => list::show(socket, show),
        Audit::Verify(verify) => verify::verify(socket, verify),
        Audit::Prove(prove) => prove::prove(socket, prove),
        Audit::CheckProof(check) => check::check(&check),
        Audit::Export(export) => export::export(socket, export),
    }
}
