//! Our own programs, as cargo built them.

use std::path::PathBuf;

/// The program `name`: in `AGENTOS_BIN_DIR`, or else where cargo put the test that asks.
///
/// # Panics
/// When it is not there, with the command that builds it.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let directory = match std::env::var_os("AGENTOS_BIN_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => built(),
    };
    let path = directory.join(name);
    assert!(
        path.exists(),
        "there is no {}; build it: cargo build --workspace --bins (or name its directory in AGENTOS_BIN_DIR)",
        path.display()
    );
    path
}

/// `target/PROFILE`, from `target/PROFILE/deps/TEST` or `target/PROFILE/PROGRAM`.
fn built() -> PathBuf {
    let mut directory = std::env::current_exe().expect("a running program has a path");
    directory.pop();
    if directory.ends_with("deps") {
        directory.pop();
    }
    directory
}
