//! The programs that the daemon starts.

use anyhow::{Context as _, bail};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Beneath a prefix.
const HELPERS: &str = "libexec/agentos";
/// The prefix of packages.
const PACKAGED: &str = "/usr";

/// Where the configuration says, or in one of the usual places.
pub(super) fn find(name: &str, configured: Option<&Path>, key: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find the daemon's own program")?;
    let candidates = match configured {
        Some(path) => vec![path.to_owned()],
        None => usual_places(&own, name),
    };
    match candidates.iter().find(|path| path.is_file()) {
        Some(found) => Ok(found.clone()),
        None => {
            let tried: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
            bail!("there is no {name} at {}; install it, or set {key} in the configuration", tried.join(" or "))
        }
    }
}

/// Beside the daemon's own program, as it is built; beneath the prefix that it is installed under; where packages are.
fn usual_places(own: &Path, name: &str) -> Vec<PathBuf> {
    let own_prefix = own.parent().and_then(Path::parent);
    let prefixes = own_prefix.into_iter().chain([Path::new(PACKAGED)]);
    let mut places = vec![own.with_file_name(name)];
    places.extend(prefixes.map(|prefix| prefix.join(HELPERS).join(name)));
    places.dedup();
    places
}

/// Puts a copy of a program into a directory of its own, which is mounted where it is needed. What is started later is the
/// same that was there now, whatever an upgrade does meanwhile.
pub(super) fn place(program: &Path, directory: &Path, name: &str) -> anyhow::Result<()> {
    let (new, place) = (directory.join(format!("{name}.new")), directory.join(name));
    let placed = fs::create_dir_all(directory)
        .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o755)))
        .and_then(|()| fs::copy(program, &new))
        .and_then(|_| fs::set_permissions(&new, Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&new, &place));
    placed.with_context(|| format!("cannot copy {} to {}", program.display(), place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_prefix_it_is_installed_under_it_finds_its_helpers() {
        let places = |own: &str| usual_places(Path::new(own), "x").iter().map(|p| p.display().to_string()).collect();
        let packaged: Vec<String> = places("/usr/sbin/agentosd");
        assert_eq!(packaged, ["/usr/sbin/x", "/usr/libexec/agentos/x"]);
        let local: Vec<String> = places("/usr/local/sbin/agentosd");
        assert_eq!(local, ["/usr/local/sbin/x", "/usr/local/libexec/agentos/x", "/usr/libexec/agentos/x"]);
    }

    #[test]
    fn a_program_that_is_nowhere_is_named_with_the_places_and_the_key() {
        let error = find("x", Some(Path::new("/nonexistent/x")), "x_path").unwrap_err().to_string();
        assert!(error.contains("/nonexistent/x") && error.contains("x_path"), "{error}");
    }
}
