//! Turning the plan's view into things to place: sources are opened with the caller's credentials, then made into
//! detached mount trees with the daemon's.
//!
//! What the caller could not open, the agent cannot see. Opening and mounting go by the same descriptor, so that
//! nothing can be swapped in between.

use super::idmap;
use super::root::{Decoy, Placed};
use super::step::{Attempt as _, Step};
use crate::plan::{Caller, Identity, Mount, Plan};
use crate::sys::mount::{Attributes, set_attributes};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

/// Things in the order in which they are placed, each tree with its descriptor.
pub(super) type View = Vec<(Placed, Option<OwnedFd>)>;

/// A source as the caller could open it.
enum Source {
    /// A file or directory.
    Found { path: PathBuf, descriptor: OwnedFd, executable: bool },
    /// A symbolic link on the host.
    Link { path: PathBuf, target: PathBuf },
    /// A workspace, with the paths beneath it that stay read-only and their parents.
    Workspace { descriptor: OwnedFd, beneath: Vec<Beneath> },
    /// Nothing to open.
    Made,
}

/// A path beneath a workspace that gets a mount of its own.
struct Beneath {
    path: PathBuf,
    descriptor: OwnedFd,
    sealed: bool,
}

/// Opens and makes everything the plan shows.
pub(super) fn view(plan: &Plan) -> Step<View> {
    let sources = as_caller(&plan.caller, || open_all(plan))?;
    let mut view = View::new();
    let mut owners = Owners::default();
    for (mount, opened) in plan.view.iter().zip(sources) {
        for source in opened {
            view.extend(make(mount, source, (plan, &mut owners))?);
        }
    }
    Ok(view)
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

fn open_all(plan: &Plan) -> Step<Vec<Vec<Source>>> {
    plan.view.iter().map(|mount| open(mount, plan)).collect()
}

fn open(mount: &Mount, plan: &Plan) -> Step<Vec<Source>> {
    match mount {
        Mount::Bind { path, executable, optional } => open_bind(path, *executable, *optional, plan),
        Mount::Workspace { path, sealed, optional, .. } => open_workspace(path, sealed, *optional),
        Mount::Tmpfs { .. } | Mount::File { .. } | Mount::Decoy { .. } | Mount::Symlink { .. } => {
            Ok(vec![Source::Made])
        }
    }
}

/// A link is shown as the link it is; its target comes too unless the view has it anyway.
fn open_bind(path: &Path, executable: bool, optional: bool, plan: &Plan) -> Step<Vec<Source>> {
    let place = match openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(place) => place,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) if optional => return Ok(Vec::new()),
        Err(error) => return Err(error).attempt_on("open", path).map_err(|e| e.remedy(BIND_REMEDY)),
    };
    if kind(place.as_fd()).attempt_on("look at", path)? != FileType::Symlink {
        // Root can open everything, so that a place is as good as a descriptor.
        let opened = if plan.caller.uid == 0 { Ok(place) } else { reopen(&place) };
        let descriptor = opened.attempt_on("open", path).map_err(|e| e.remedy(BIND_REMEDY))?;
        return Ok(vec![Source::Found { path: path.to_owned(), descriptor, executable }]);
    }
    let target = readlinkat(&place, "", Vec::new()).attempt_on("read the link", path)?;
    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
    let is_shown = |end: &Path| plan.view.iter().filter_map(Mount::source).any(|source| end.starts_with(source));
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
    let mut sources = open_bind(&end, executable, optional, plan)?;
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

fn kind(descriptor: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(descriptor)?.st_mode))
}

const WORKSPACE_REMEDY: &str =
    "the caller must be able to open the directory, and no part of the path may be a symbolic link";
const SEALED_REMEDY: &str =
    "a path that must stay read-only in the workspace may not be a symbolic link; remove the link";

fn open_workspace(path: &Path, sealed: &[PathBuf], optional: bool) -> Step<Vec<Source>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let place = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) if optional => return Ok(Vec::new()),
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
    Ok(vec![Source::Workspace { descriptor, beneath }])
}

fn make(mount: &Mount, source: Source, (plan, owners): (&Plan, &mut Owners)) -> Step<View> {
    match (mount, source) {
        (Mount::Workspace { path, read_only, executable, owner, .. }, Source::Workspace { descriptor, beneath }) => {
            let owner = owners.of(path, *owner, &descriptor)?;
            let settings = Work { read_only: *read_only, executable: *executable, owner, agent: plan.agent };
            make_workspace(path, &descriptor, beneath, settings)
        }
        (_, Source::Found { path, descriptor, executable }) => Ok(vec![make_bind(path, &descriptor, executable)?]),
        (_, Source::Link { path, target }) => Ok(vec![(Placed::Symlink { path, target }, None)]),
        (mount, _) => Ok(make_own(mount, plan).into_iter().map(|placed| (placed, None)).collect()),
    }
}

fn make_bind(path: PathBuf, descriptor: &OwnedFd, executable: bool) -> Step<(Placed, Option<OwnedFd>)> {
    let tree = clone_tree(descriptor, OpenTreeFlags::AT_RECURSIVE).attempt_on("clone the mount of", &path)?;
    let attributes =
        Attributes { read_only: true, no_exec: !executable, no_dev: true, private: true, recursive: true, idmap: None };
    set_attributes(tree.as_fd(), &attributes).attempt_on("make read-only", &path)?;
    let directory = kind(tree.as_fd()).attempt_on("look at", &path)? == FileType::Directory;
    Ok((Placed::Tree { path, directory }, Some(tree)))
}

/// Who the agent is on disk, by directory. A directory within a workspace has the workspace's owner and not its own: a
/// file that somebody else left there must not make the agent somebody else.
#[derive(Default)]
struct Owners(Vec<(PathBuf, Identity)>);

impl Owners {
    fn of(&mut self, path: &Path, given: Option<Identity>, descriptor: &OwnedFd) -> Step<Identity> {
        let above = self.0.iter().find(|(above, _)| path.starts_with(above)).map(|(_, owner)| *owner);
        let owner = match given.or(above) {
            Some(owner) => owner,
            None => fstat(descriptor)
                .map(|stat| Identity { uid: stat.st_uid, gid: stat.st_gid })
                .attempt_on("look at", path)?,
        };
        self.0.push((path.to_owned(), owner));
        Ok(owner)
    }
}

/// How a workspace is shown.
#[derive(Clone, Copy)]
struct Work {
    read_only: bool,
    executable: bool,
    owner: Identity,
    agent: Identity,
}

fn make_workspace(path: &Path, root: &OwnedFd, beneath: Vec<Beneath>, work: Work) -> Step<View> {
    let map = idmap::user_namespace(work.owner, work.agent)?;
    let mut view = vec![make_mapped(path, root, &map, work)?];
    for part in beneath {
        let work = Work { read_only: work.read_only || part.sealed, ..work };
        view.push(make_mapped(&part.path, &part.descriptor, &map, work)?);
    }
    Ok(view)
}

const IDMAP_REMEDY: &str =
    "its file system cannot be idmapped (or is already); put the workspace on ext4, xfs, btrfs or tmpfs";

/// Without the mounts beneath: each could be of another file system and another owner.
fn make_mapped(path: &Path, root: &OwnedFd, map: &OwnedFd, work: Work) -> Step<(Placed, Option<OwnedFd>)> {
    let tree = clone_tree(root, OpenTreeFlags::empty()).attempt_on("clone the mount of", path)?;
    let attributes = Attributes {
        read_only: work.read_only,
        no_exec: !work.executable,
        no_dev: true,
        private: true,
        recursive: false,
        idmap: Some(map.as_fd()),
    };
    set_attributes(tree.as_fd(), &attributes).attempt_on("idmap", path).map_err(|e| e.remedy(IDMAP_REMEDY))?;
    let directory = kind(tree.as_fd()).attempt_on("look at", path)? == FileType::Directory;
    Ok((Placed::Tree { path: path.to_owned(), directory }, Some(tree)))
}

fn clone_tree(descriptor: &OwnedFd, recursive: OpenTreeFlags) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(descriptor, "", flags | recursive)
}

/// What has no source on the host.
fn make_own(mount: &Mount, plan: &Plan) -> Option<Placed> {
    let agent = plan.agent;
    Some(match mount.clone() {
        Mount::Tmpfs { path, size, executable, mode } => {
            Placed::Tmpfs { path, size, executable, mode, uid: agent.uid, gid: agent.gid }
        }
        Mount::File { path, contents } => Placed::File { path, contents },
        Mount::Decoy { path, directory } => {
            let covered = plan.rules.iter().any(|rule| rule.read && path.starts_with(&rule.path));
            // The innermost thing above decides; a tmpfs of the agent's may lie within a host directory.
            let above = plan.view.iter().filter(|mount| path.starts_with(mount.path()) && mount.path() != path);
            let hosted = above.max_by_key(|mount| mount.path().as_os_str().len()).is_some_and(|m| m.source().is_some());
            Placed::Decoy { path, kind: Decoy { directory, covered, hosted } }
        }
        Mount::Symlink { path, target } => Placed::Symlink { path, target },
        Mount::Bind { .. } | Mount::Workspace { .. } => return None,
    })
}

impl Mount {
    /// Where it stands inside.
    fn path(&self) -> &Path {
        match self {
            Self::Bind { path, .. } | Self::Workspace { path, .. } | Self::Tmpfs { path, .. } => path,
            Self::File { path, .. } | Self::Decoy { path, .. } | Self::Symlink { path, .. } => path,
        }
    }

    /// The host path that is shown, if it is one.
    fn source(&self) -> Option<&Path> {
        match self {
            Self::Bind { path, .. } | Self::Workspace { path, .. } => Some(path),
            Self::Tmpfs { .. } | Self::File { .. } | Self::Decoy { .. } | Self::Symlink { .. } => None,
        }
    }
}
