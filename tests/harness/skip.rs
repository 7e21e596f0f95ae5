//! Tests that cannot run here, and who may say so.

use crate::repository_root;
use std::fs;

/// True for uid 0. Without it nothing can be confined; tests then `skip("root", …)` and return.
#[must_use]
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("root", "agentosd and its judges need root; run: sudo -E cargo test -p tests");
    }
    root
}

/// Prints that a test, or a part of one, is not done.
///
/// # Panics
/// Where `CI=true`, unless `tests/allowed-skips.txt` has a line that begins with `id`.
pub fn skip(id: &str, why: &str) {
    println!("SKIP {id}: {why}");
    if std::env::var_os("CI").is_some_and(|value| value == "true") {
        let path = repository_root().join("tests/allowed-skips.txt");
        let allowed = fs::read_to_string(&path).unwrap_or_default();
        let named = allowed.lines().any(|line| line.split_whitespace().next() == Some(id));
        assert!(named, "SKIP {id} is not allowed in CI ({why}); allow it with a line in {}", path.display());
    }
}
