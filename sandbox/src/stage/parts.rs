//! The places at which the agent's memory, policy and tools are mounted, and mounted anew when their server was lost.
//!
//! ```text
//!   /mem ─► /.agentos/write/mem      /policy ─► /.agentos/read/policy      /tools ─► /.agentos/execute/tools
//! ```
//! `/mem` and its like are links of ours. Landlock knows a directory by its inode, so that a rule for a mount is lost with
//! it, and a mount point itself is passed over (`is_access_to_paths_allowed()`, "Ignores hidden mount points"): what may
//! be done in a mount that comes later has to be said of a directory above it, and above `/mem` there is only `/`.

use super::idmap;
use super::root::{Placed, place_tree};
use super::step::{Attempt as _, Step};
use super::trees::{View, clone_tree};
use crate::plan::{Identity, Part, Place};
use crate::sys::mount::{Attributes, set_attributes};
use nix::mount::{MntFlags, umount2};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::mount::OpenTreeFlags;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Above what the agent may write.
pub(super) const WRITABLE: &str = "/.agentos/write";
/// Above what it may read.
pub(super) const READABLE: &str = "/.agentos/read";
/// Above what it may read and execute.
pub(super) const EXECUTABLE: &str = "/.agentos/execute";
/// Above sockets. No rule is about it: to connect needs none.
const CONNECTABLE: &str = "/.agentos/connect";

/// The links, what they lead to, and what of it.
const LINKS: [(&str, Place, &str); 6] = [
    ("mem", Place::Memory, ""),
    ("state", Place::State, ""),
    ("ipc", Place::Ipc, ""),
    ("policy", Place::Policy, ""),
    ("tools", Place::Tools, ""),
    ("run/agentos/kernel.sock", Place::Sockets, "kernel.sock"),
];

impl Place {
    fn path(self) -> PathBuf {
        let (above, name) = match self {
            Self::Memory => (WRITABLE, "mem"),
            Self::Semantic => (WRITABLE, "mem/semantic"),
            Self::State => (WRITABLE, "state"),
            Self::Ipc => (WRITABLE, "ipc"),
            Self::Policy => (READABLE, "policy"),
            Self::Tools => (EXECUTABLE, "tools"),
            Self::Sockets => (CONNECTABLE, "sockets"),
        };
        Path::new(above).join(name)
    }

    fn attributes(self) -> Attributes<'static> {
        let executable = self == Self::Tools;
        Attributes {
            read_only: matches!(self, Self::Policy | Self::Tools | Self::Sockets),
            no_exec: !executable,
            exec: executable,
            no_dev: true,
            // On the host nobody follows what an agent has linked; inside it is the agent's own.
            symlinks: true,
            private: true,
            ..Attributes::default()
        }
    }
}

/// Makes the links and the directories that they lead to, in the root that is being made in the working directory.
pub(super) fn make_places() -> Step {
    for (name, place, of_it) in LINKS {
        let path = place.path();
        let here = path.strip_prefix("/").unwrap_or(&path);
        let target = if of_it.is_empty() { path.clone() } else { path.join(of_it) };
        fs::create_dir_all(here).attempt_on("make the directory", &path)?;
        if let Some(above) = Path::new(name).parent() {
            fs::create_dir_all(above).attempt_on("make the directory", above)?;
        }
        symlink(&target, name).attempt_on("make the link to", &target)?;
    }
    Ok(())
}

/// Opens every part as root and makes it a mount tree for this agent.
pub(super) fn make(parts: &[Part], agent: Identity) -> Step<View> {
    parts.iter().map(|part| Ok((placed(part.place), Some(tree(part, agent)?)))).collect()
}

fn placed(place: Place) -> Placed {
    Placed::Tree { path: place.path(), directory: true }
}

fn tree(part: &Part, agent: Identity) -> Step<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let source =
        openat2(CWD, &part.source, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).attempt_on("open", &part.source)?;
    let tree = clone_tree(&source, OpenTreeFlags::empty()).attempt_on("clone the mount of", &part.source)?;
    let map = match part.place {
        Place::Semantic => Some(map(&source, &part.source, agent)?),
        _ => None,
    };
    let attributes = Attributes { idmap: map.as_ref().map(OwnedFd::as_fd), ..part.place.attributes() };
    set_attributes(tree.as_fd(), &attributes).attempt_on("set what may be done in", &part.source)?;
    Ok(tree)
}

/// What several agents have belongs to their server, and is shown to each as its own.
fn map(source: &OwnedFd, path: &Path, agent: Identity) -> Step<OwnedFd> {
    let stat = fstat(source).attempt_on("look at", path)?;
    idmap::user_namespace(Identity { uid: stat.st_uid, gid: stat.st_gid }, agent)
}

/// Puts each tree in place of what is mounted there. What an agent has open of the old one stays open and dead.
pub(super) fn replace(view: View) -> Step {
    for (thing, tree) in &view {
        match umount2(thing.path(), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // Nothing is mounted there: the mount above it has gone with what was beneath it.
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
            Err(error) => return Err(io::Error::from(error)).attempt_on("unmount", thing.path()),
        }
        if let Some(tree) = tree {
            place_tree(thing.path(), true, tree)?;
        }
    }
    Ok(())
}
