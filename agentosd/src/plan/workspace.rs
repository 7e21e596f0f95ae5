//! Which directories cannot be a workspace: those through which an agent would reach the host's own set-up.

use super::{Own, bad_parameter};
use protocol::control::Workspace;
use protocol::error::ControlError;
use std::path::{Component, Path, PathBuf};

const HOST: [&str; 11] =
    ["/etc", "/usr", "/boot", "/proc", "/sys", "/dev", "/run/agentos", "/bin", "/sbin", "/lib", "/lib64"];

/// The workspace's path, when an agent may be given it.
pub(super) fn check(workspace: &Workspace, own: &Own) -> Result<PathBuf, ControlError> {
    let given = Path::new(&workspace.path);
    let refuse = |why: String| Err(bad_parameter("workspace", &format!("{}: {why}", workspace.path)));
    // Compared as text: `components` would quietly drop a `.` and doubled slashes.
    let clean: PathBuf = given.components().collect();
    let odd = given.components().any(|part| !matches!(part, Component::RootDir | Component::Normal(_)));
    if !given.is_absolute() || odd || clean.as_os_str() != given.as_os_str() || workspace.path.contains('\0') {
        return refuse("expected an absolute path without . or .., doubled slashes or symbolic links".to_owned());
    }
    if given == Path::new("/") {
        return refuse("the whole file system cannot be a workspace; choose a directory".to_owned());
    }
    let kept = HOST.into_iter().map(Path::new).chain([own.state.as_path(), own.run.as_path()]);
    for kept in kept {
        if given.starts_with(kept) {
            return refuse(format!("it lies in {}, which is the host's; choose another directory", kept.display()));
        }
        if kept.starts_with(given) {
            return refuse(format!("it contains {}, which is the host's; choose a narrower directory", kept.display()));
        }
    }
    Ok(given.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_directories_are_no_workspaces() {
        let own = Own { state: "/var/lib/agentos".into(), run: "/tmp/t/run".into(), lacking: Vec::new() };
        let check = |path: &str| check(&Workspace { path: path.into(), read_only: false }, &own);
        for good in ["/home/ann/project", "/srv/x", "/tmp/t/w", "/etcetera", "/var/lib/agentos2"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "/",
            "/etc",
            "/etc/x",
            "/usr/src/x",
            "/run",
            "/run/agentos/x",
            "/var",
            "/var/lib/agentos/agents",
            "/tmp",
            "/tmp/t",
            "relative",
            "",
            "/home/../etc",
            "/home/./x",
            "/home//x",
            "/home/x/",
            "/proc/self/cwd",
            "/home/\0",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
