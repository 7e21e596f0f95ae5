//! Where the sources are.

use std::path::Path;

/// The repository's root, as it was when the tests were built.
#[must_use]
pub fn repository_root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
