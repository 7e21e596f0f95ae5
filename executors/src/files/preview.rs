//! What would happen, for the person who decides.

use super::state::Present;
use crate::descriptors::hex;
use similar::{Algorithm, TextDiff};
use std::time::Duration;

/// Largest text of which a difference is shown, and largest difference.
const LARGEST: usize = 64 << 10;
/// A difference that takes longer is a coarser one.
const PATIENCE: Duration = Duration::from_millis(500);

/// The change of a file's content to `new`.
pub(super) fn change(name: &str, old: Option<&Present>, new: &[u8]) -> String {
    let before = match old {
        None => Some(&b""[..]),
        Some(present) => present.content.as_deref(),
    };
    let difference = before.and_then(text).zip(text(new)).map(|(before, after)| {
        let difference = TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(before, after);
        let from = if old.is_some() { name } else { "/dev/null" };
        difference.unified_diff().header(from, name).to_string()
    });
    match difference.filter(|difference| difference.len() <= LARGEST) {
        Some(same) if same.is_empty() && old.is_some() => format!("{name} stays as it is\n"),
        Some(empty) if empty.is_empty() => format!("{name} is made, empty\n"),
        Some(difference) => difference,
        None => sentence(name, old, new),
    }
}

/// What would be lost.
pub(super) fn removal(name: &str, old: &Present) -> String {
    if old.link {
        let target = String::from_utf8_lossy(old.content.as_deref().unwrap_or_default()).into_owned();
        return format!("{name} is removed: a symbolic link to {target}, which stays\n");
    }
    let others = if old.status.st_nlink > 1 { "; the file has other names, and they stay" } else { "" };
    format!("{name} is removed: {}{others}\n", size(old))
}

fn sentence(name: &str, old: Option<&Present>, new: &[u8]) -> String {
    let new = format!("{} bytes (sha256 {})", new.len(), hex(new));
    match old {
        Some(old) => format!("{name}: {} are replaced by {new}\n", size(old)),
        None => format!("{name} is made: {new}\n"),
    }
}

fn size(file: &Present) -> String {
    match &file.content {
        Some(content) => format!("{} bytes (sha256 {})", content.len(), hex(content)),
        None => format!("{} bytes", file.status.st_size),
    }
}

/// Short text without NUL.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LARGEST && !text.contains('\0'))
}
