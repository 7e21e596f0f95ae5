//! Opening what lies beneath a root, and nothing that does not.

use crate::descriptors::real_path;
use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// The kernel gives up (EAGAIN) when something was renamed meanwhile, and it could not tell whether the path stayed beneath.
/// Somebody who renames all the time gets a refusal.
const TRIES: usize = 128;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// Opens `path` as a mere path: no permission is needed, and no device or FIFO is opened.
pub(super) fn target(root: &str, path: &str) -> Outcome<OwnedFd> {
    let beneath = within(root, path)?;
    let root = open_root(Path::new(root))?;
    if beneath.as_os_str().is_empty() {
        return Ok(root);
    }
    open(&root, beneath, OFlags::PATH, BENEATH).map_err(|errno| Refusal::errno(errno, &format!("open {path:?}")))
}

/// A name in a directory: what is there may come and go, the directory is held.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) directory: OwnedFd,
    pub(super) name: OsString,
    /// Where the directory was when it was opened.
    real: PathBuf,
}

impl Named {
    /// Opens the directory of `path` and keeps the name in it, which is followed nowhere.
    pub(super) fn open(root: &str, path: &str) -> Outcome<Self> {
        let beneath = within(root, path)?;
        let whole = Path::new(root);
        let failed = |errno| Refusal::errno(errno, &format!("open the directory of {path:?}"));
        let (directory, name) = if beneath.as_os_str().is_empty() {
            let parent = whole.parent().ok_or_else(|| nameless(path))?;
            (open(CWD, parent, DIRECTORY, ROOT).map_err(failed)?, whole.file_name())
        } else {
            let parent = beneath.parent().filter(|parent| !parent.as_os_str().is_empty());
            let root = open_root(whole)?;
            (open(&root, parent.unwrap_or(Path::new(".")), DIRECTORY, BENEATH).map_err(failed)?, beneath.file_name())
        };
        let name = name.ok_or_else(|| nameless(path))?.to_owned();
        let real = real_path(&directory)?;
        Ok(Self { directory, name, real })
    }

    /// The path that would be touched.
    pub(super) fn path(&self) -> PathBuf {
        self.real.join(&self.name)
    }

    /// Whether the directory is still where it was when this was decided on. It could have been moved out of the root.
    pub(super) fn confirm(&self) -> Outcome<()> {
        if real_path(&self.directory)? == self.real {
            return Ok(());
        }
        Err(Refusal::new(RefusalReason::PathEscapes, format!("directory {:?} was moved meanwhile", self.real)))
    }

    /// For messages.
    pub(super) fn shown(&self) -> String {
        format!("{:?}", self.path())
    }
}

/// Readable, because it will be flushed or listed.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
/// The daemon names roots by their real paths, so a link in one was put there by somebody else.
const ROOT: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);

fn open_root(root: &Path) -> Outcome<OwnedFd> {
    open(CWD, root, OFlags::PATH, ROOT).map_err(|errno| Refusal::errno(errno, &format!("open {root:?}")))
}

fn open(from: impl AsFd, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    for _ in 1..TRIES {
        match openat2(&from, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    openat2(&from, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// The part of `path` beneath `root`. What `..` makes of it is the kernel's to say.
fn within<'a>(root: &str, path: &'a str) -> Outcome<&'a Path> {
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if !root.starts_with('/') || !Path::new(root).components().all(plain) {
        return Err(Refusal::new(RefusalReason::BadParameter, format!("root {root:?} is not absolute and without ..")));
    }
    let outside = |_| Refusal::new(RefusalReason::PathEscapes, format!("{path:?} is not beneath {root:?}"));
    Path::new(path).strip_prefix(root).map_err(outside)
}

fn nameless(path: &str) -> Refusal {
    Refusal::new(RefusalReason::WrongType, format!("{path:?} does not end in a name"))
}

#[cfg(test)]
mod tests {
    use super::within;
    use protocol::action::RefusalReason;
    use std::path::Path;

    #[test]
    fn a_path_is_divided_at_its_root_and_not_inside_a_name() {
        assert_eq!(within("/data", "/data//a/./b/"), Ok(Path::new("a/b")));
        assert_eq!(within("/data", "/data/../etc"), Ok(Path::new("../etc")), "the kernel refuses that one");
        assert_eq!(within("/data/x", "/data/x"), Ok(Path::new("")));
        assert_eq!(within("/", "/etc"), Ok(Path::new("etc")));
        for (root, path) in [("/data", "/database"), ("/data", "data/a"), ("/data", "/"), ("/data", "")] {
            assert_eq!(within(root, path).map_err(|e| e.reason), Err(RefusalReason::PathEscapes), "{path}");
        }
        for root in ["", "data", "/data/../etc"] {
            assert_eq!(within(root, "/data/a").map_err(|e| e.reason), Err(RefusalReason::BadParameter), "{root}");
        }
    }
}
