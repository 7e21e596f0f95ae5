//! A user without an account, in the group of the control socket.

use crate::{Daemon, binary, succeeded};
use std::process::{Command, Stdio};

/// Nobody's uid.
pub const USER: u32 = 65_533;
/// Its group, which a daemon that is configured with [`GROUP_LINE`] answers to.
pub const GROUP: u32 = 65_532;
/// For [`Daemon::configured`].
pub const GROUP_LINE: &str = "group: \"65532\"\n";

/// One of our programs as that user, to be completed. It is copied to where everybody can execute it.
///
/// # Panics
/// When it cannot be copied.
#[must_use]
pub fn as_user(daemon: &Daemon, program: &str) -> Command {
    let copy = daemon.place().join(program);
    if !copy.exists() {
        // By a process of its own: a child that another thread starts meanwhile would hold our descriptor, and what
        // somebody has open for writing cannot be executed.
        succeeded(Command::new("cp").arg(binary(program)).arg(&copy).output().expect("cp(1)"));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &USER.to_string(), "--regid", &GROUP.to_string(), "--clear-groups", "--"]);
    command.arg(copy).current_dir("/").stdin(Stdio::null());
    command
}
