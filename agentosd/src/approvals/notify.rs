//! The operator's own command is told of each action that waits: `approval_notify` in the configuration.

use crate::journal;
use protocol::approval::Approval;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most that run at one time; what comes meanwhile is seen by `agentctl approvals` only.
const MOST: usize = 4;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Starts the command with the approval as JSON on its standard input, and waits for it on a thread of its own.
pub(super) fn tell(command: &[String], approval: &Approval) {
    let Some((program, arguments)) = command.split_first() else { return };
    if RUNNING.fetch_add(1, Ordering::AcqRel) >= MOST {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
        return journal::provoked(format_args!("approval_notify was not told of {}: {MOST} still run", approval.id));
    }
    let (id, text) = (approval.id.clone(), serde_json::to_vec(approval).unwrap_or_default());
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    std::thread::spawn(move || {
        if let Err(error) = run(&mut command, &text) {
            journal::provoked(format_args!("approval_notify was not told of {id}: {error}"));
        }
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    });
}

fn run(command: &mut Command, text: &[u8]) -> std::io::Result<()> {
    // The daemon's threads hold signals back, and a mask is inherited.
    sandbox::take_orders()?;
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A command may do without.
        input.write_all(text).ok();
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("it ended with {status}"))) }
}
