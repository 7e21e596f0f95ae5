//! `approvals approve` and `approvals deny`.

use super::find;
use crate::cli::approvals as cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::show::{self, Look, time};
use crate::terminal;
use protocol::action::ApprovalId;
use protocol::approval::{Approval, ApprovalState};
use protocol::control::DecideApproval;
use protocol::error::ControlError;
use std::io::{self, Write as _};
use std::path::Path;

/// `agentctl approvals approve`.
pub(super) fn approve(socket: &Path, options: cli::Approve) -> Result<u8, Failure> {
    if !options.yes && !terminal::input_is_terminal() {
        let id = &options.id;
        return Err(Failure::Usage(format!(
            "nobody is there to be asked; look at it (agentctl approvals show {id}), then approve it from a terminal or add --yes"
        )));
    }
    let approval = pending(socket, &options.id)?;
    show::print(&show::approval::page(&approval, (time::now(), Look::of_output())))?;
    if !options.yes && !confirmed(&options.id)? {
        show::notice("nothing was decided; it still waits");
        return Ok(0);
    }
    let digest = options.digest.unwrap_or(approval.digest);
    let request = DecideApproval { id: options.id, digest, approve: true, note: options.note };
    let decided = Client::connect(socket)?.call(&request)?;
    show::line(&format!("{} is approved; it may be done once, until {}", decided.id, time::utc(decided.expires_us)))?;
    Ok(0)
}

/// `agentctl approvals deny`.
pub(super) fn deny(socket: &Path, options: cli::Deny) -> Result<u8, Failure> {
    let approval = pending(socket, &options.id)?;
    let request = DecideApproval { id: options.id, digest: approval.digest, approve: false, note: options.note };
    let decided = Client::connect(socket)?.call(&request)?;
    show::line(&format!("{} is denied", decided.id))?;
    Ok(0)
}

/// Nobody is asked about what is decided already.
fn pending(socket: &Path, id: &ApprovalId) -> Result<Approval, Failure> {
    let approval = find(socket, id)?;
    if approval.state == ApprovalState::Pending {
        return Ok(approval);
    }
    let why = format!("it is {} already", show::approval::state_word(approval.state));
    Err(Failure::Refused(ControlError::WrongApproval { id: id.to_string(), why }))
}

fn confirmed(id: &ApprovalId) -> Result<bool, Failure> {
    let ask = || -> io::Result<bool> {
        write!(io::stderr(), "Approve {id}? [y/N] ")?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    };
    ask().map_err(Failure::os("ask at the terminal"))
}
