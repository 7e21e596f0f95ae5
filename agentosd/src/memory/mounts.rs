//! File systems made detached and put at their places, and what an earlier daemon has left there.

use super::MemoryError;
use protocol::vfs::Quota;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

/// The kernel's door to a FUSE server.
const DEVICE: &str = "/dev/fuse";
/// Directory entries of the server's own in a tmpfs, beside the files that are counted.
const SPARE_INODES: u64 = 64;

/// A FUSE mount that is mounted nowhere yet.
#[derive(Debug)]
pub(super) struct Fuse {
    /// Whoever reads from it serves the mount; the mount dies with its last copy.
    pub(super) device: OwnedFd,
    /// Its root.
    pub(super) root: OwnedFd,
}

/// Makes one. On the host nothing in it is executed, no link of it followed.
pub(super) fn fuse() -> Result<Fuse, MemoryError> {
    // The agent is another user than whoever mounts; the kernel checks the modes that the server shows.
    fuse_with(&["allow_other", "default_permissions"])
}

/// Makes one whose root is given to somebody who may see everything in it: a right that an agent has taken from its own
/// files keeps nobody from reading what it remembers.
pub(super) fn fuse_for_holders() -> Result<Fuse, MemoryError> {
    fuse_with(&["allow_other"])
}

fn fuse_with(flags: &[&str]) -> Result<Fuse, MemoryError> {
    let fail = |attempt| MemoryError::of(attempt, Path::new(DEVICE));
    let device =
        rustix::fs::open(DEVICE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(fail("open the device"))?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW;
    let make = || {
        let context = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let number = device.as_raw_fd().to_string();
        let options =
            [("source", "agentos"), ("fd", &number), ("rootmode", "40000"), ("user_id", "0"), ("group_id", "0")];
        options.iter().try_for_each(|(key, value)| fsconfig_set_string(&context, *key, *value))?;
        flags.iter().try_for_each(|key| fsconfig_set_flag(&context, *key))?;
        fsconfig_create(&context)?;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    let root = make().map_err(fail("make a file system of"))?;
    Ok(Fuse { device, root })
}

/// Makes a tmpfs for `/mem/working` that belongs to `server`: its size is the quota, in whole pages, since what is written
/// goes past the server.
pub(super) fn tmpfs(quota: Quota, server: u32) -> Result<OwnedFd, MemoryError> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let make = || {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let options = [
            ("size", quota.bytes.to_string()),
            ("nr_inodes", quota.inodes.saturating_add(SPARE_INODES).to_string()),
            ("mode", "0700".to_owned()),
            ("uid", server.to_string()),
            ("gid", server.to_string()),
        ];
        options.iter().try_for_each(|(key, value)| fsconfig_set_string(&context, *key, value.as_str()))?;
        fsconfig_create(&context)?;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    make().map_err(MemoryError::of("make a tmpfs for", Path::new("/mem/working")))
}

/// Puts a mount at `path`, which is made.
pub(super) fn place(root: &OwnedFd, path: &Path) -> Result<(), MemoryError> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(MemoryError::of("make the directory", path)(error)),
    }
    move_mount(root, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(MemoryError::of("mount a file system at", path))
}

/// Shows at `path`, where a directory is, what stands at `source`, to be read only. Waits for the servers of both.
pub(super) fn show(source: &Path, path: &Path) -> Result<(), MemoryError> {
    let fail = MemoryError::of("open", source);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let tree = open_tree(CWD, source, flags).map_err(fail)?;
    sandbox::make_read_only(tree.as_fd()).map_err(|error| MemoryError::Io {
        attempt: "make read-only what is shown at",
        path: path.to_owned(),
        source: error,
    })?;
    move_mount(&tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(MemoryError::of("mount a file system at", path))
}

/// Takes away whatever is mounted at `path`. Whoever has something of it open keeps that.
pub(super) fn unmount_all(path: &Path) -> Result<(), MemoryError> {
    loop {
        match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            // Nothing is mounted there any more, or there is nothing at all.
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(error) => return Err(MemoryError::of("unmount", path)(error)),
        }
    }
}

/// Takes a mount and its place away.
pub(super) fn remove(path: &Path) -> Result<(), MemoryError> {
    unmount_all(path)?;
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(MemoryError::Io { attempt: "remove", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// Takes away every mount in a directory of ours that is not to be kept; its entries are not looked at, since a dead one
/// answers nothing.
pub(super) fn clear(directory: &Path, kept: &BTreeSet<OsString>) -> Result<(), MemoryError> {
    let list = |source| MemoryError::Io { attempt: "list", path: directory.to_owned(), source };
    for entry in directory.read_dir().map_err(list)? {
        let entry = entry.map_err(list)?;
        if !kept.contains(&entry.file_name()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}
