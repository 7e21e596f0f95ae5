//! What a view shows, as it is on the host now: sources are opened with the caller's credentials, because what the caller
//! could not open the agent cannot see. [`super::trees`] mounts by the same descriptors, so that nothing can be swapped in
//! between.

use super::root::{Decoy, Placed, Tmpfs};
use super::step::{Attempt as _, Step};
use crate::plan::{Caller, Identity, Mount, Plan, Rule, Template};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, readlinkat};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

/// What is to be shown, on whose behalf, and to whom.
#[derive(Clone, Copy)]
pub(super) struct Showing<'a> {
    pub(super) view: &'a [Mount],
    rules: &'a [Rule],
    caller: &'a Caller,
    pub(super) agent: Identity,
}

impl<'a> Showing<'a> {
    /// To the agent of a plan.
    pub(super) fn of(plan: &'a Plan) -> Self {
        Self { view: &plan.view, rules: &plan.rules, caller: &plan.caller, agent: plan.agent }
    }

    /// To nobody yet.
    pub(super) fn template(template: &'a Template) -> Self {
        const ROOT: &Caller = &Caller { uid: 0, gid: 0, groups: Vec::new() };
        Self { view: &template.view, rules: &template.rules, caller: ROOT, agent: Identity { uid: 0, gid: 0 } }
    }
}

/// A thing of a view as the caller could open it.
pub(super) enum Source<'a> {
    /// A file or directory.
    Found { path: PathBuf, descriptor: OwnedFd, executable: bool, inode: Inode },
    /// A symbolic link on the host.
    Link { path: PathBuf, target: PathBuf },
    /// A workspace, with the paths beneath it that stay read-only and their parents.
    Workspace { mount: &'a Mount, path: &'a Path, descriptor: OwnedFd, beneath: Vec<Beneath> },
    /// Nothing to open.
    Made(Placed),
}

/// Which file it is, as long as somebody has it open or mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
    pub(super) directory: bool,
}

impl Inode {
    fn of(stat: &Stat) -> Self {
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        Self { device: stat.st_dev, number: stat.st_ino, directory }
    }
}

/// A path beneath a workspace that gets a mount of its own.
pub(super) struct Beneath {
    pub(super) path: PathBuf,
    pub(super) descriptor: OwnedFd,
    pub(super) sealed: bool,
}

impl Source<'_> {
    /// Where it stands inside.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Found { path, .. } | Self::Link { path, .. } => path,
            Self::Workspace { path, .. } => path,
            Self::Made(placed) => placed.path(),
        }
    }
}

/// Opens everything that is to be shown, in the order in which it is placed.
pub(super) fn open_all<'a>(showing: Showing<'a>) -> Step<Vec<Source<'a>>> {
    as_caller(showing.caller, || {
        let mut sources = Vec::new();
        for mount in showing.view {
            sources.extend(open(mount, showing)?);
        }
        Ok(sources)
    })
}

/// Runs `open` as the caller. Effective ids only: the real and saved ones stay root's, so that the way back is open and
/// the caller cannot signal or trace the stage meanwhile.
fn as_caller<T>(caller: &Caller, open: impl FnOnce() -> Step<T>) -> Step<T> {
    if caller.uid == 0 {
        return open();
    }
    let groups: Vec<Gid> = caller.groups.iter().copied().map(Gid::from_raw).collect();
    set_thread_groups(&groups).attempt("take the caller's groups")?;
    set_thread_res_gid(None, Gid::from_raw(caller.gid), None).attempt("take the caller's group")?;
    set_thread_res_uid(None, Uid::from_raw(caller.uid), None).attempt("take the caller's user")?;
    let result = open();
    set_thread_res_uid(None, Uid::ROOT, None).attempt("return to root")?;
    set_thread_res_gid(None, Gid::ROOT, None).attempt("return to root's group")?;
    set_thread_groups(&[]).attempt("drop the caller's groups")?;
    result
}

fn open<'a>(mount: &'a Mount, showing: Showing<'a>) -> Step<Vec<Source<'a>>> {
    Ok(match mount {
        Mount::Bind { path, executable, optional } => open_bind(path, *executable, *optional, showing)?,
        Mount::Workspace { .. } => open_workspace(mount)?.into_iter().collect(),
        _ => made(mount, showing).map(Source::Made).into_iter().collect(),
    })
}

/// What a thing is that has no source on the host.
pub(super) fn made(mount: &Mount, showing: Showing<'_>) -> Option<Placed> {
    Some(match mount.clone() {
        Mount::Tmpfs { path, size, executable, mode } => {
            Placed::Tmpfs(Tmpfs { path, size, executable, mode, owner: showing.agent })
        }
        Mount::File { path, contents } => Placed::File { path, contents },
        Mount::Decoy { path, directory } => decoy(&path, directory, showing),
        Mount::Passage { path } => Placed::Passage { path },
        Mount::Symlink { path, target } => Placed::Symlink { path, target },
        Mount::Bind { .. } | Mount::Workspace { .. } => return None,
    })
}

fn decoy(path: &Path, directory: bool, showing: Showing<'_>) -> Placed {
    let covered = showing.rules.iter().any(|rule| rule.read && path.starts_with(&rule.path));
    // The innermost thing above decides; a tmpfs of the agent's may lie within a host directory.
    let above = showing.view.iter().filter(|mount| path.starts_with(mount.path()) && mount.path() != path);
    let hosted = above.max_by_key(|mount| mount.path().as_os_str().len()).is_some_and(|m| m.source().is_some());
    Placed::Decoy { path: path.to_owned(), kind: Decoy { directory, covered, hosted } }
}

/// A link is shown as the link it is; its target comes too unless the view has it anyway.
fn open_bind<'a>(path: &Path, executable: bool, optional: bool, showing: Showing<'a>) -> Step<Vec<Source<'a>>> {
    let place = match openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(place) => place,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) if optional => return Ok(Vec::new()),
        Err(error) => return Err(error).attempt_on("open", path).map_err(|e| e.remedy(BIND_REMEDY)),
    };
    let stat = fstat(&place).attempt_on("look at", path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        // Root can open everything, so that a place is as good as a descriptor.
        let opened = if showing.caller.uid == 0 { Ok(place) } else { reopen(&place) };
        let descriptor = opened.attempt_on("open", path).map_err(|e| e.remedy(BIND_REMEDY))?;
        let (path, inode) = (path.to_owned(), Inode::of(&stat));
        return Ok(vec![Source::Found { path, descriptor, executable, inode }]);
    }
    let target = readlinkat(&place, "", Vec::new()).attempt_on("read the link", path)?;
    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
    let is_shown = |end: &Path| showing.view.iter().filter_map(Mount::source).any(|source| end.starts_with(source));
    let next = path.parent().unwrap_or(path).join(&target);
    let link = Source::Link { path: path.to_owned(), target };
    // Most links (`/bin`) lead straight into what is shown.
    if !next.components().any(|part| part == Component::ParentDir) && is_shown(&next) {
        return Ok(vec![link]);
    }
    let Ok(end) = fs::canonicalize(path) else { return Ok(vec![link]) };
    if is_shown(&end) {
        return Ok(vec![link]);
    }
    let mut sources = open_bind(&end, executable, optional, showing)?;
    sources.push(link);
    Ok(sources)
}

const BIND_REMEDY: &str =
    "the policy names it and the caller must be able to open it; add `optional: true` to the rule if it may be absent";

/// Opens for reading, which is what "could open" means, and refuses what has effects when opened.
fn reopen(place: &OwnedFd) -> io::Result<OwnedFd> {
    match kind(place.as_fd())? {
        FileType::Directory | FileType::RegularFile => {}
        // A device or socket is shown as a place; using it is up to its own permissions.
        _ => return place.try_clone(),
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(openat(CWD, format!("/proc/self/fd/{}", place.as_raw_fd()), flags, Mode::empty())?)
}

pub(super) fn kind(descriptor: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(descriptor)?.st_mode))
}

const WORKSPACE_REMEDY: &str =
    "the caller must be able to open the directory, and no part of the path may be a symbolic link";
const SEALED_REMEDY: &str =
    "a path that must stay read-only in the workspace may not be a symbolic link; remove the link";

fn open_workspace(mount: &Mount) -> Step<Option<Source<'_>>> {
    let Mount::Workspace { path, sealed, optional, .. } = mount else { return Ok(None) };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let place = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) if *optional => return Ok(None),
        other => other.attempt_on("open the workspace", path).map_err(|e| e.remedy(WORKSPACE_REMEDY))?,
    };
    let descriptor = reopen(&place).attempt_on("open the workspace", path).map_err(|e| e.remedy(WORKSPACE_REMEDY))?;
    let mut beneath: Vec<Beneath> = Vec::new();
    for seal in sealed {
        let Ok(relative) = seal.strip_prefix(path) else { continue };
        // The path itself is sealed; every directory between it and the workspace is pinned.
        for part in
            relative.ancestors().filter(|part| !part.as_os_str().is_empty()).collect::<Vec<_>>().into_iter().rev()
        {
            let target = path.join(part);
            let sealed = part == relative;
            if beneath.iter().any(|known| known.path == target) {
                continue;
            }
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match openat2(&descriptor, part, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Ok(descriptor) => beneath.push(Beneath { path: target, descriptor, sealed }),
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => break,
                Err(error) => return Err(error).attempt_on("open", &target).map_err(|e| e.remedy(SEALED_REMEDY)),
            }
        }
    }
    beneath.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Some(Source::Workspace { mount, path, descriptor, beneath }))
}
