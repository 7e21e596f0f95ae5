//! The errnos by which a sandbox says no, by what was asked.
//!
//! EINVAL, EFAULT, EBADF and the like are in none of them: they say that the attempt was wrong, not that it was
//! forbidden.

use libc::{
    EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, EBUSY, ECONNREFUSED, EHOSTUNREACH, ELOOP, ENETDOWN, ENETUNREACH, ENODEV,
    ENOENT, ENOSYS, ENOTDIR, ENXIO, EPERM, EPROTONOSUPPORT, EROFS, ESOCKTNOSUPPORT, ESRCH, EXDEV,
};

/// A system call that the filter or a missing capability refuses.
pub(crate) const CALL: &[i32] = &[EPERM, EACCES, ENOSYS];
/// A process that cannot be seen or touched. EXDEV is Landlock's answer to an action across domains.
pub(crate) const PROCESS: &[i32] = &[ESRCH, EPERM, EACCES, ENOSYS, ENOENT, EXDEV];
/// A path that is hidden, read-only or forbidden.
pub(crate) const PATH: &[i32] = &[ENOENT, EACCES, EPERM, EROFS, ENOTDIR, ENXIO, ENODEV, ELOOP];
/// A change of the tree: a path, or a place that cannot be moved.
pub(crate) const TREE: &[i32] = &[ENOENT, EACCES, EPERM, EROFS, ENOTDIR, ELOOP, EXDEV, EBUSY, ENOSYS];
/// A kind of socket that may not be made.
pub(crate) const SOCKET: &[i32] = &[EPERM, EACCES, ENOSYS, EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT];
/// An address that nothing answers at from in here.
pub(crate) const ADDRESS: &[i32] =
    &[ENETUNREACH, EHOSTUNREACH, ENETDOWN, ECONNREFUSED, EADDRNOTAVAIL, EAFNOSUPPORT, ENOENT, EPERM, EACCES, ENOSYS];
