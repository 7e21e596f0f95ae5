//! The root that PID 1 lives in: a tmpfs that holds nothing but what is placed in it.
//!
//! The host's mounts are gone before the plan arrives: a spare stage keeps no host file system busy, and what an agent
//! sees comes in as detached mount trees that the outer half made.

use super::parts;
use super::step::{Attempt as _, Step};
use crate::plan::Identity;
use crate::sys::kernel::{leave_session_keyring, loopback_up};
use crate::sys::mount::{Attributes, set_attributes};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{chdir, chroot, fchdir};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, mknodat, openat2};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::net::{AddressFamily, SocketType, socket};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

/// Something to put into the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Placed {
    /// A detached mount tree, whose descriptor comes beside the order.
    Tree { path: PathBuf, directory: bool },
    /// A private tmpfs of the agent.
    Tmpfs(Tmpfs),
    /// A small read-only file.
    File { path: PathBuf, contents: String },
    /// An empty file or directory in place of what is not granted. Where Landlock grants what lies above (`covered`),
    /// only its own permissions can refuse; elsewhere they must let the attempt through to Landlock, which records it.
    Decoy { path: PathBuf, kind: Decoy },
    /// A directory that can be passed through and not listed.
    Passage { path: PathBuf },
    /// A symbolic link.
    Symlink { path: PathBuf, target: PathBuf },
    /// A tmpfs that was placed before anybody knew whose it would be, and how large.
    Adjusted(Tmpfs),
}

impl Placed {
    /// Where.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Tree { path, .. } | Self::File { path, .. } => path,
            Self::Decoy { path, .. } | Self::Symlink { path, .. } | Self::Passage { path } => path,
            Self::Tmpfs(tmpfs) | Self::Adjusted(tmpfs) => &tmpfs.path,
        }
    }
}

/// A tmpfs and whose it is; `size` is in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tmpfs {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) executable: bool,
    pub(super) mode: u32,
    pub(super) owner: Identity,
}

/// What kind of decoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decoy {
    pub(super) directory: bool,
    /// A Landlock rule grants what lies above.
    pub(super) covered: bool,
    /// It lies in a directory of the host.
    pub(super) hosted: bool,
}

/// Any directory will do to mount the new root on before the pivot; the nursery and every root of ours have this one.
const MOUNT_POINT: &str = "/proc";

/// The root of PID 1's copy of the nursery, over which its own roots are mounted.
pub(super) struct Ground(OwnedFd);

/// Leaves the host: what a root of its own does not take out of reach, then its mounts, for a copy of the nursery.
pub(super) fn leave_host(nursery: &OwnedFd) -> Step<Ground> {
    // Now that PID 1 is in all its groups, the namespace's root is the agent's own group.
    unshare(CloneFlags::CLONE_NEWCGROUP).map_err(io::Error::from).attempt("make a cgroup namespace")?;
    // A caller's keys are inherited through the session keyring and nothing else.
    ignore_absent(leave_session_keyring()).attempt("leave the caller's keyring")?;
    // In this PID namespace memfds are never executable (sysctl/vm.rst); the file is absent before Linux 6.3.
    ignore_absent(fs::write("/proc/sys/vm/memfd_noexec", "2")).attempt("set vm.memfd_noexec")?;
    // The daemon may be protected from the out-of-memory killer; an agent must not inherit that.
    fs::write("/proc/self/oom_score_adj", "0").attempt("reset oom_score_adj")?;
    bring_up_loopback()?;
    setns(nursery, CloneFlags::CLONE_NEWNS).map_err(io::Error::from).attempt("enter the nursery")?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(io::Error::from).attempt("make a mount namespace")?;
    open_path(Path::new("/")).map(Ground)
}

/// Makes an empty root and moves into it. It is mounted over the ground as switch_root(8) does, and not by pivot_root(2),
/// which looks at every process of the host. What can be reached beneath it, with a capability that no agent has, is the
/// ground: an empty directory.
pub(super) fn make_empty(ground: &Ground) -> Step {
    build_on(ground)?;
    move_in()
}

/// The same in place of one that is there, which goes with everything in it.
pub(super) fn renew(ground: &Ground) -> Step {
    build_on(ground)?;
    umount2("/", MntFlags::MNT_DETACH).map_err(io::Error::from).attempt("detach the old root")?;
    move_in()
}

/// An empty root, which is the working directory then.
fn build_on(Ground(ground): &Ground) -> Step {
    fchdir(ground).map_err(io::Error::from).attempt("enter the ground")?;
    chroot(".").map_err(io::Error::from).attempt("leave the old root")?;
    mount_simple(Some("tmpfs"), MOUNT_POINT, Some("tmpfs"), MsFlags::MS_NOSUID, "size=4m,nr_inodes=4096,mode=0755")?;
    chdir(MOUNT_POINT).map_err(io::Error::from).attempt("enter the new root")?;
    make_proc()?;
    make_dev()?;
    parts::make_places()
}

fn move_in() -> Step {
    mount_simple(Some("."), "/", None, MsFlags::MS_MOVE, "")?;
    chroot(".").map_err(io::Error::from).attempt("enter the new root")?;
    chdir("/").map_err(io::Error::from).attempt("enter the new root")
}

/// A kernel without the facility has nothing to take away.
fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOSYS)) => Ok(()),
        other => other,
    }
}

fn bring_up_loopback() -> Step {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).attempt("make a socket")?;
    loopback_up(socket.as_fd()).attempt("bring up the loopback interface")
}

fn mount_simple(source: Option<&str>, target: &str, kind: Option<&str>, flags: MsFlags, options: &str) -> Step {
    mount(source, target, kind, flags, Some(options)).map_err(io::Error::from).attempt_on("mount", Path::new(target))
}

/// Only the processes of this namespace: no sysctls, no kernel files (`subset=pid`, Linux 5.8).
fn make_proc() -> Step {
    fs::create_dir("proc").attempt("make /proc")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount_simple(Some("proc"), "proc", Some("proc"), flags, "subset=pid")
}

/// Devices that hold no state of the host, a devpts of its own, and the usual links.
fn make_dev() -> Step {
    const MEMORY_DEVICES: [(&str, u32); 5] = [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)];
    fs::create_dir("dev").attempt("make /dev")?;
    mount_simple(Some("tmpfs"), "dev", Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, "size=64k,mode=0755")?;
    for (name, minor) in MEMORY_DEVICES {
        make_device(name, 1, minor)?;
    }
    make_device("tty", 5, 0)?;
    fs::create_dir("dev/pts").attempt("make /dev/pts")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount_simple(Some("devpts"), "dev/pts", Some("devpts"), flags, "newinstance,ptmxmode=0666,mode=0620,max=64")?;
    // Landlock knows a message queue by this file system, which no rule could name if it were mounted nowhere.
    fs::create_dir("dev/mqueue").attempt("make /dev/mqueue")?;
    mount_simple(Some("mqueue"), "dev/mqueue", Some("mqueue"), flags | MsFlags::MS_NODEV, "")?;
    let links = [
        ("pts/ptmx", "ptmx"),
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
    ];
    for (target, name) in links {
        symlink(target, Path::new("dev").join(name)).attempt("make a link in /dev")?;
    }
    fs::create_dir("dev/shm").attempt("make /dev/shm")?;
    let dev = open_path(Path::new("dev"))?;
    let attributes = Attributes { read_only: true, no_exec: true, ..Attributes::default() };
    set_attributes(dev.as_fd(), &attributes).attempt("make /dev read-only")
}

fn make_device(name: &str, major: u32, minor: u32) -> Step {
    let path = Path::new("dev").join(name);
    let device = rustix::fs::makedev(major, minor);
    mknodat(CWD, &path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), device)
        .attempt_on("make the device", &path)?;
    // The umask has taken bits away.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).attempt_on("set the mode of", &path)
}

/// Puts things into the root, in order; `trees` are the descriptors of the [`Placed::Tree`]s.
pub(super) fn place(things: Vec<Placed>, trees: Vec<OwnedFd>) -> Step {
    let mut trees = trees.into_iter();
    for thing in things {
        match thing {
            Placed::Tree { path, directory } => {
                let tree = trees.next().ok_or_else(|| io::Error::other("a mount tree is missing")).attempt("place")?;
                place_tree(&path, directory, &tree)?;
            }
            Placed::Tmpfs(tmpfs) => {
                make_directories(&tmpfs.path)?;
                mount_tmpfs(&tmpfs, MsFlags::empty())?;
            }
            Placed::Adjusted(tmpfs) => adjust(&tmpfs)?,
            Placed::File { path, contents } => {
                make_parents(&path)?;
                let mut options = fs::OpenOptions::new();
                let mut file =
                    options.write(true).create_new(true).mode(0o444).open(&path).attempt_on("make", &path)?;
                io::Write::write_all(&mut file, contents.as_bytes()).attempt_on("write", &path)?;
            }
            Placed::Decoy { path, kind } => place_decoy(&path, kind)?,
            Placed::Passage { path } => {
                make_directories(&path)?;
                let mode = fs::Permissions::from_mode(0o711);
                fs::set_permissions(&path, mode).attempt_on("set the mode of", &path)?;
            }
            Placed::Symlink { path, target } => {
                make_parents(&path)?;
                symlink(target, &path).attempt_on("make the link", &path)?;
            }
        }
    }
    Ok(())
}

fn mount_tmpfs(tmpfs: &Tmpfs, flags: MsFlags) -> Step {
    let Tmpfs { path, size, executable, mode, owner: Identity { uid, gid } } = tmpfs;
    let options = format!("size={size},mode={mode:o},uid={uid},gid={gid}");
    let noexec = if *executable { MsFlags::empty() } else { MsFlags::MS_NOEXEC };
    let flags = flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | noexec;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(io::Error::from)
        .attempt_on("mount a tmpfs on", path)
}

/// Makes one that is there the one that is needed. A remount changes its size and what may be executed, but not the
/// owner and the mode of its root (tmpfs(5)).
fn adjust(tmpfs: &Tmpfs) -> Step {
    mount_tmpfs(tmpfs, MsFlags::MS_REMOUNT)?;
    let Identity { uid, gid } = tmpfs.owner;
    chown(&tmpfs.path, Some(uid), Some(gid)).attempt_on("set the owner of", &tmpfs.path)?;
    // After the owner, whose change takes bits away.
    fs::set_permissions(&tmpfs.path, fs::Permissions::from_mode(tmpfs.mode)).attempt_on("set the mode of", &tmpfs.path)
}

/// Mounts a tree without following a link on the way: beneath a workspace the path is under others' control.
pub(super) fn place_tree(path: &Path, directory: bool, tree: &OwnedFd) -> Step {
    if path.symlink_metadata().is_err() {
        if directory {
            make_directories(path)?;
        } else {
            make_parents(path)?;
            fs::File::create_new(path).attempt_on("make a mount point at", path)?;
        }
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target =
        openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).attempt_on("open the mount point", path)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", &target, "", flags).attempt_on("mount", path)
}

fn make_file(path: &Path, contents: &str, mode: u32) -> Step {
    make_parents(path)?;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path).attempt_on("make", path)?;
    io::Write::write_all(&mut file, contents.as_bytes()).attempt_on("write", path)
}

/// A decoy among our own file systems is made. Over something of the host it is mounted; and what a host directory does
/// not have (`hosted`) is not made, since it would be made on the host.
fn place_decoy(path: &Path, kind: Decoy) -> Step {
    if path.symlink_metadata().is_ok() {
        return mask(path, kind.directory);
    }
    match kind {
        Decoy { hosted: true, .. } => Ok(()),
        Decoy { directory: true, .. } => {
            make_directories(path)?;
            let mode = if kind.covered { 0 } else { 0o555 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).attempt_on("set the mode of", path)
        }
        Decoy { directory: false, .. } => make_file(path, "", if kind.covered { 0 } else { 0o444 }),
    }
}

/// Mounts something empty and closed over `path`, so that what the host has there is out of reach.
fn mask(path: &Path, directory: bool) -> Step {
    const MASK: &str = "/.mask";
    if directory {
        fs::create_dir(MASK).attempt("make a mask")?;
    } else {
        make_file(Path::new(MASK), "", 0)?;
    }
    fs::set_permissions(MASK, fs::Permissions::from_mode(0o0)).attempt("close a mask")?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, MASK, flags).attempt("clone a mask")?;
    set_attributes(tree.as_fd(), &Attributes { read_only: true, no_exec: true, no_dev: true, ..Attributes::default() })
        .attempt("make a mask read-only")?;
    place_tree(path, directory, &tree)?;
    // The mount holds it; the name would only be a curiosity.
    let removed = if directory { fs::remove_dir(MASK) } else { fs::remove_file(MASK) };
    removed.attempt("remove the name of a mask")
}

fn make_parents(path: &Path) -> Step {
    path.parent().map_or(Ok(()), make_directories)
}

fn make_directories(path: &Path) -> Step {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).attempt_on("make the directory", path)
}

/// Opens a path as a place, without the right to read it.
pub(super) fn open_path(path: &Path) -> Step<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).attempt_on("open", path)
}
