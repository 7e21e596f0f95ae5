//! `mount_setattr(2)`: changes a mount, or a whole detached tree of them, in one call.

use super::check;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// What to set on a mount, and what to clear.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attributes<'a> {
    /// MOUNT_ATTR_RDONLY.
    pub(crate) read_only: bool,
    /// MOUNT_ATTR_NOEXEC.
    pub(crate) no_exec: bool,
    /// MOUNT_ATTR_NODEV; off only for our own /dev.
    pub(crate) no_dev: bool,
    /// Clear MOUNT_ATTR_NOEXEC.
    pub(crate) exec: bool,
    /// Clear MOUNT_ATTR_NOSYMFOLLOW.
    pub(crate) symlinks: bool,
    /// MOUNT_ATTR_IDMAP with this user namespace.
    pub(crate) idmap: Option<BorrowedFd<'a>>,
    /// Cut the mount off from the host's mount events (MS_PRIVATE).
    pub(crate) private: bool,
    /// The mounts beneath it too (AT_RECURSIVE).
    pub(crate) recursive: bool,
}

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Makes a mount read-only, for whoever mounts it nowhere before that.
///
/// # Errors
/// As `mount_setattr(2)`.
pub fn make_read_only(mount: BorrowedFd<'_>) -> io::Result<()> {
    set_attributes(mount, &Attributes { read_only: true, no_exec: true, no_dev: true, ..Attributes::default() })
}

/// Sets attributes on the mount that `mount` is the root of. MOUNT_ATTR_NOSUID is always set.
///
/// # Errors
/// As `mount_setattr(2)`; EINVAL for an idmap means that the file system cannot be idmapped.
pub(crate) fn set_attributes(mount: BorrowedFd<'_>, attributes: &Attributes<'_>) -> io::Result<()> {
    let mut attr_set = libc::MOUNT_ATTR_NOSUID;
    let bits = |wanted: bool, bit: u64| if wanted { bit } else { 0 };
    let mut add = |wanted: bool, bit: u64| attr_set |= bits(wanted, bit);
    add(attributes.read_only, libc::MOUNT_ATTR_RDONLY);
    add(attributes.no_exec, libc::MOUNT_ATTR_NOEXEC);
    add(attributes.no_dev, libc::MOUNT_ATTR_NODEV);
    add(attributes.idmap.is_some(), libc::MOUNT_ATTR_IDMAP);
    let arguments = MountAttr {
        attr_set,
        attr_clr: bits(attributes.exec, libc::MOUNT_ATTR_NOEXEC)
            | bits(attributes.symlinks, libc::MOUNT_ATTR_NOSYMFOLLOW),
        propagation: if attributes.private { libc::MS_PRIVATE } else { 0 },
        userns_fd: attributes.idmap.map_or(0, |fd| u64::from(fd.as_raw_fd().unsigned_abs())),
    };
    let flags = libc::AT_EMPTY_PATH | if attributes.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, the structure is the kernel's and lives through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const arguments,
            size_of::<MountAttr>(),
        )
    };
    check(result).map(drop)
}
