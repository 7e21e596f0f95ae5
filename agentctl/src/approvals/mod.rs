//! `agentctl approvals`: actions that wait for a person.
//!
//! What is approved is what was shown: its digest goes with the decision, and agentosd refuses it for anything else.

mod decide;

use crate::cli::approvals::{self as cli, Command};
use crate::client::Client;
use crate::failure::Failure;
use crate::show::{self, Look, time};
use protocol::action::ApprovalId;
use protocol::approval::Approval;
use protocol::control::{Approvals, ApprovalsReply};
use protocol::error::ControlError;
use std::path::Path;

/// `agentctl approvals …`.
pub(crate) fn approvals(socket: &Path, options: cli::Approvals) -> Result<u8, Failure> {
    match options.command {
        None => list(socket, &options.list),
        Some(Command::Watch(list)) => watch(socket, &list),
        Some(Command::Show(show)) => one(socket, &show),
        Some(Command::Approve(approve)) => decide::approve(socket, approve),
        Some(Command::Deny(deny)) => decide::deny(socket, deny),
    }
}

fn list(socket: &Path, options: &cli::List) -> Result<u8, Failure> {
    let reply = all(socket, Approvals { all: options.all, ..Approvals::default() })?;
    if options.json {
        show::document(&reply)?
    } else {
        show::print(&table(&reply))?
    }
    Ok(0)
}

fn watch(socket: &Path, options: &cli::List) -> Result<u8, Failure> {
    let request = Approvals { all: options.all, follow: true, ..Approvals::default() };
    let mut first = true;
    Client::connect(socket)?.stream(&request, |reply| {
        if options.json {
            return show::json_line(&reply);
        }
        let gap = if std::mem::take(&mut first) { "" } else { "\n" };
        show::print(&format!("{gap}{}", table(&reply)))
    })?;
    Ok(0)
}

fn table(reply: &ApprovalsReply) -> String {
    show::approval::list(&reply.approvals, reply.refused, (time::now(), Look::of_output()))
}

fn one(socket: &Path, options: &cli::Show) -> Result<u8, Failure> {
    let approval = find(socket, &options.id)?;
    if options.json {
        show::document(&approval)?;
    } else {
        show::print(&show::approval::page(&approval, (time::now(), Look::of_output())))?;
    }
    Ok(0)
}

/// One, in whatever state it is.
fn find(socket: &Path, id: &ApprovalId) -> Result<Approval, Failure> {
    let reply = all(socket, Approvals { all: true, follow: false, id: Some(id.clone()) })?;
    let found = reply.approvals.into_iter().find(|approval| approval.id == *id);
    found.ok_or_else(|| Failure::Refused(ControlError::NoSuchApproval { id: id.to_string() }))
}

/// Every page of a list.
fn all(socket: &Path, request: Approvals) -> Result<ApprovalsReply, Failure> {
    let mut all = ApprovalsReply { approvals: Vec::new(), refused: 0 };
    Client::connect(socket)?.each(&request, |page| {
        all.approvals.extend(page.approvals);
        all.refused = page.refused;
        Ok(())
    })?;
    Ok(all)
}
