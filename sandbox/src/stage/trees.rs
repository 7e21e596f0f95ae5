//! Opened sources made into detached mount trees, with the daemon's rights.

use super::idmap;
use super::root::Placed;
use super::sources::{Beneath, Inode, Source, kind};
use super::step::{Attempt as _, Step};
use crate::plan::{Identity, Mount};
use crate::sys::mount::{Attributes, set_attributes};
use rustix::fs::{FileType, fstat};
use rustix::mount::{OpenTreeFlags, open_tree};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// Things in the order in which they are placed, each tree with its descriptor.
pub(super) type View = Vec<(Placed, Option<OwnedFd>)>;

/// Makes everything for this agent.
pub(super) fn make(sources: Vec<Source<'_>>, agent: Identity) -> Step<View> {
    let mut view = View::new();
    let mut owners = Owners::default();
    for source in sources {
        match source {
            Source::Found { path, descriptor, executable, inode } => {
                view.push(make_bind(path, &descriptor, executable, inode)?);
            }
            Source::Link { path, target } => view.push((Placed::Symlink { path, target }, None)),
            Source::Workspace { mount, path, descriptor, beneath } => {
                let Mount::Workspace { read_only, directory_only, executable, owner, .. } = mount else { continue };
                let owner = owners.of(path, *owner, &descriptor)?;
                // Of what was opened and is mounted; the path may have become something else since.
                let directory = kind(descriptor.as_fd()).attempt_on("look at", path)? == FileType::Directory;
                let read_only = *read_only || (*directory_only && !directory);
                let settings = Work { read_only, executable: *executable, owner, agent };
                view.extend(make_workspace(path, &descriptor, beneath, settings)?);
            }
            Source::Made(placed) => view.push((placed, None)),
        }
    }
    Ok(view)
}

fn make_bind(
    path: PathBuf,
    descriptor: &OwnedFd,
    executable: bool,
    Inode { directory, .. }: Inode,
) -> Step<(Placed, Option<OwnedFd>)> {
    let tree = clone_tree(descriptor, OpenTreeFlags::AT_RECURSIVE).attempt_on("clone the mount of", &path)?;
    let attributes = Attributes {
        read_only: true,
        no_exec: !executable,
        no_dev: true,
        private: true,
        recursive: true,
        ..Attributes::default()
    };
    set_attributes(tree.as_fd(), &attributes).attempt_on("make read-only", &path)?;
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
        idmap: Some(map.as_fd()),
        ..Attributes::default()
    };
    set_attributes(tree.as_fd(), &attributes).attempt_on("idmap", path).map_err(|e| e.remedy(IDMAP_REMEDY))?;
    let directory = kind(tree.as_fd()).attempt_on("look at", path)? == FileType::Directory;
    Ok((Placed::Tree { path: path.to_owned(), directory }, Some(tree)))
}

pub(super) fn clone_tree(descriptor: &OwnedFd, recursive: OpenTreeFlags) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(descriptor, "", flags | recursive)
}
