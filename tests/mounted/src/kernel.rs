//! What is asked of the kernel for a mount.

use anyhow::{Context as _, Result};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

/// Mounts at `directory` a FUSE file system that nobody serves yet; its device.
pub(crate) fn mount_fuse(directory: &Path) -> Result<OwnedFd> {
    let device = File::options().read(true).write(true).open("/dev/fuse").context("failed to open /dev/fuse")?;
    let context = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC).context("the kernel has no FUSE")?;
    let number = device.as_raw_fd().to_string();
    let options = [("source", "agentos"), ("fd", &number), ("rootmode", "40000"), ("user_id", "0"), ("group_id", "0")];
    for (option, value) in options {
        fsconfig_set_string(context.as_fd(), option, value).with_context(|| format!("failed to set {option}"))?;
    }
    for option in ["allow_other", "default_permissions"] {
        fsconfig_set_flag(context.as_fd(), option).with_context(|| format!("failed to set {option}"))?;
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    attach(detached(&context, attributes)?.as_fd(), directory)?;
    Ok(device.into())
}

/// The root of a tmpfs that is mounted nowhere and belongs to `user`.
pub(crate) fn tmpfs(bytes: u64, inodes: u64, user: u32) -> Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).context("the kernel has no tmpfs")?;
    let user = user.to_string();
    let (bytes, inodes) = (bytes.to_string(), inodes.to_string());
    let options = [
        ("source", "agentos"),
        ("size", bytes.as_str()),
        ("nr_inodes", &inodes),
        ("mode", "0700"),
        ("uid", &user),
        ("gid", &user),
    ];
    for (option, value) in options {
        fsconfig_set_string(context.as_fd(), option, value).with_context(|| format!("failed to set {option}"))?;
    }
    detached(&context, MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)
}

/// The same, mounted at `directory`: what a mount of ours is compared with.
pub(crate) fn mount_tmpfs(directory: &Path, bytes: u64, user: u32) -> Result<()> {
    attach(tmpfs(bytes, bytes >> 12, user)?.as_fd(), directory)
}

/// Takes away what is mounted at `directory`, at the latest when nobody uses it any more.
pub(crate) fn detach(directory: &Path) -> Result<()> {
    unmount(directory, UnmountFlags::DETACH).with_context(|| format!("failed to unmount {}", directory.display()))
}

fn detached(context: &OwnedFd, attributes: MountAttrFlags) -> Result<OwnedFd> {
    fsconfig_create(context.as_fd()).context("failed to make the file system")?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).context("failed to make the mount")
}

fn attach(mount: BorrowedFd<'_>, directory: &Path) -> Result<()> {
    move_mount(mount, "", CWD, directory, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .with_context(|| format!("failed to mount at {}", directory.display()))
}
