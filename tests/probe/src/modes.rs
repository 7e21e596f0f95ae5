//! Files that would give someone else privileges: set-uid bits and file capabilities.

use std::{
    ffi::CStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use crate::{
    denials::TREE,
    outcome::{Attempt, Refusal, Step, reached},
    params::{Params, c_path},
    primitive::{Control::Root, Primitive},
    syscall::{call, call_fd, ptr, w},
};

const SYS_FCHMODAT2: i64 = 452;
const SYS_SETXATTRAT: i64 = 463;
const CAPABILITY: &CStr = c"security.capability";
/// EINVAL: the user namespace does not map uid 0.
const OWNER: &[i32] = &[libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EROFS, libc::EINVAL];
/// `struct vfs_cap_data` revision 2, effective: CAP_NET_RAW (13) permitted.
const NET_RAW: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "kernel.chmod_setuid",
        tries: "chmod(04755) of a file of its own",
        denials: TREE,
        control: Root,
        run: |p| {
            let path = file(p)?;
            call(libc::SYS_chmod, &[w(c_path(&path)?.as_c_str()), w(0o4755)])?;
            set_uid_bit(&path)
        },
    },
    Primitive {
        id: "kernel.fchmod_setuid",
        tries: "fchmod(04755) of a file of its own",
        denials: TREE,
        control: Root,
        run: |p| {
            let path = file(p)?;
            let fd = crate::syscall::open(&c_path(&path)?, libc::O_RDONLY).step("open")?;
            call(libc::SYS_fchmod, &[w(fd), w(0o4755)])?;
            set_uid_bit(&path)
        },
    },
    Primitive {
        id: "kernel.fchmodat_setuid",
        tries: "fchmodat(06755) of a file of its own",
        denials: TREE,
        control: Root,
        run: |p| {
            let path = file(p)?;
            call(libc::SYS_fchmodat, &[w(libc::AT_FDCWD), w(c_path(&path)?.as_c_str()), w(0o6755)])?;
            set_uid_bit(&path)
        },
    },
    Primitive {
        id: "kernel.fchmodat2_setuid",
        tries: "fchmodat2(04755) of a file of its own",
        denials: TREE,
        control: Root,
        run: |p| {
            let path = file(p)?;
            call(SYS_FCHMODAT2, &[w(libc::AT_FDCWD), w(c_path(&path)?.as_c_str()), w(0o4755), w(0)])?;
            set_uid_bit(&path)
        },
    },
    Primitive {
        id: "kernel.open_setuid",
        tries: "open(O_CREAT, 04755)",
        denials: TREE,
        control: Root,
        run: |p| {
            let path = p.scratch()?.join("file");
            let flags = libc::O_CREAT | libc::O_WRONLY;
            call_fd(libc::SYS_openat, &[w(libc::AT_FDCWD), w(c_path(&path)?.as_c_str()), w(flags), w(0o4755)])?;
            set_uid_bit(&path)
        },
    },
    Primitive {
        id: "kernel.openat2_setuid",
        tries: "openat2(O_CREAT, 04755): the mode is behind a pointer, out of a filter's sight",
        denials: TREE,
        control: Root,
        run: |p| {
            let path = p.scratch()?.join("file");
            let how = [u64::from((libc::O_CREAT | libc::O_WRONLY).cast_unsigned()), 0o4755, 0];
            let name = c_path(&path)?;
            let words = [w(libc::AT_FDCWD), w(name.as_c_str()), ptr(&how), w(24)];
            call_fd(libc::SYS_openat2, &words)?;
            set_uid_bit(&path)
        },
    },
    Primitive {
        id: "kernel.mknod_setuid",
        tries: "mknod of a regular file with mode 04755",
        denials: TREE,
        control: Root,
        run: |p| {
            let path = p.scratch()?.join("file");
            call(
                libc::SYS_mknodat,
                &[w(libc::AT_FDCWD), w(c_path(&path)?.as_c_str()), w(libc::S_IFREG | 0o4755), w(0)],
            )?;
            set_uid_bit(&path)
        },
    },
    Primitive {
        id: "kernel.setxattr_capability",
        tries: "setxattr(security.capability) of a file of its own",
        denials: TREE,
        control: Root,
        run: |p| {
            grant_net_raw(&file(p)?)?;
            reached("a program with a capability")
        },
    },
    Primitive {
        id: "kernel.setxattrat_capability",
        tries: "setxattrat(security.capability) of a file of its own",
        denials: TREE,
        control: Root,
        run: |p| {
            // struct xattr_args: value, size and flags.
            let arguments = [std::ptr::from_ref(&NET_RAW).expose_provenance(), size_of_val(&NET_RAW)];
            let name = c_path(&file(p)?)?;
            let words = [w(libc::AT_FDCWD), w(name.as_c_str()), w(0), w(CAPABILITY), ptr(&arguments), w(16)];
            call(SYS_SETXATTRAT, &words)?;
            reached("a program with a capability")
        },
    },
    Primitive {
        id: "kernel.chown_root",
        tries: "chown(0, 0) of a file of its own",
        denials: OWNER,
        control: Root,
        run: |p| {
            call(libc::SYS_chown, &[w(c_path(&file(p)?)?.as_c_str()), w(0), w(0)])?;
            reached("a file of root's")
        },
    },
];

/// Gives the program at `path` CAP_NET_RAW.
pub(crate) fn grant_net_raw(path: &Path) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let words = [w(path.as_c_str()), w(CAPABILITY), ptr(&NET_RAW), w(size_of_val(&NET_RAW)), w(0)];
    call(libc::SYS_setxattr, &words).map(drop)
}

fn file(p: &Params) -> Result<PathBuf, Refusal> {
    let path = p.scratch()?.join("file");
    fs::write(&path, "").step("create")?;
    Ok(path)
}

/// The call may succeed and drop the bit, so look.
fn set_uid_bit(path: &Path) -> Attempt {
    if fs::metadata(path).step("stat")?.mode() & libc::S_ISUID == 0 {
        return Err(Refusal::Denied("the call succeeded without the set-uid bit".into()));
    }
    reached("the set-uid bit is on the file")
}
