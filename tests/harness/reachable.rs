//! Programs where a user without any rights can execute them.

use crate::{binary, succeeded};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A copy of one of our programs that everybody can execute, and the directory that it vanishes with.
///
/// # Panics
/// When it cannot be copied.
#[must_use]
pub fn reachable(program: &str) -> (PathBuf, TempDir) {
    let place = tempfile::tempdir().expect("a directory");
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("our own directory");
    let copy = place.path().join(program);
    // By a process of its own: a child that another thread starts meanwhile would hold our descriptor, and what somebody
    // has open for writing cannot be executed.
    succeeded(Command::new("cp").arg(binary(program)).arg(&copy).output().expect("cp(1)"));
    (copy, place)
}
