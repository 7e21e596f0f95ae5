//! The old mount calls, and what else changes the tree: chroot, pivot_root, device nodes, handles, swap, quota.
//!
//! Each attempt first tries to get a mount namespace of its own, so that as a control on a host nothing is changed
//! there. Inside a sandbox that fails and the attempt goes on in the namespace that the agent has.

use std::{
    env,
    ffi::CStr,
    fs,
    os::unix::fs::{MetadataExt, chroot},
    path::Path,
};

use crate::{
    denials::{CALL, PATH, TREE},
    outcome::{Attempt, Refusal, Step, past_the_check, reached},
    params::{Params, c_path},
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{call, call_fd, open, ptr, ptr_mut, w},
};

const NONE: &CStr = c"none";

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "mounts.mount_tmpfs",
        tries: "mount a tmpfs on a directory of its own",
        denials: TREE,
        control: Root,
        run: |p| mount_type(p, c"tmpfs"),
    },
    Primitive {
        id: "mounts.mount_proc",
        tries: "mount a fresh proc, without the options of the one it was given",
        denials: TREE,
        control: Root,
        run: |p| mount_type(p, c"proc"),
    },
    Primitive {
        id: "mounts.mount_cgroup2",
        tries: "mount a cgroup2 hierarchy",
        denials: TREE,
        control: Root,
        run: |p| mount_type(p, c"cgroup2"),
    },
    Primitive {
        id: "mounts.bind",
        tries: "bind / onto a directory of its own",
        denials: TREE,
        control: Root,
        run: bind,
    },
    Primitive {
        id: "mounts.remount_usr_writable",
        tries: "remount /usr read-write",
        denials: TREE,
        control: Root,
        run: remount_usr,
    },
    Primitive {
        id: "mounts.propagation",
        tries: "make / a shared mount",
        denials: TREE,
        control: Root,
        run: |p| {
            own_mounts(p)?;
            mount([NONE, c"/", NONE], libc::MS_REC | libc::MS_SHARED)?;
            reached("mounts would spread")
        },
    },
    Primitive { id: "mounts.move", tries: "MS_MOVE a mount elsewhere", denials: TREE, control: Root, run: move_old },
    Primitive {
        id: "mounts.umount_proc",
        tries: "umount2(/proc, MNT_DETACH)",
        denials: TREE,
        control: Root,
        run: |p| {
            own_mounts(p)?;
            call(libc::SYS_umount2, &[w(c"/proc"), w(libc::MNT_DETACH)])?;
            reached("uncovered what lies under /proc")
        },
    },
    Primitive { id: "mounts.pivot_root", tries: "pivot_root to a directory", denials: TREE, control: Root, run: pivot },
    Primitive {
        id: "mounts.chroot",
        tries: "chroot to a directory of its own",
        denials: TREE,
        control: Root,
        run: |p| {
            chroot(p.scratch()?).step("chroot")?;
            reached("a root of its own choice")
        },
    },
    Primitive {
        id: "mounts.chroot_escape",
        tries: "chroot below the working directory, then chdir(..) to the top",
        denials: TREE,
        control: Root,
        run: chroot_escape,
    },
    Primitive {
        id: "mounts.mknod_char",
        tries: "mknod of a character device (1:3)",
        denials: TREE,
        control: Root,
        run: |p| node(p, libc::S_IFCHR, libc::makedev(1, 3)),
    },
    Primitive {
        id: "mounts.mknod_block",
        tries: "mknod of a block device (254:0)",
        denials: TREE,
        control: Root,
        run: |p| node(p, libc::S_IFBLK, libc::makedev(254, 0)),
    },
    Primitive {
        id: "mounts.name_to_handle",
        tries: "name_to_handle_at of /",
        denials: CALL,
        control: Root,
        run: |_| {
            handle_of_root()?;
            reached("a handle that names the file without a path")
        },
    },
    Primitive {
        id: "mounts.open_by_handle",
        tries: "open_by_handle_at: the handle of / (made up where it cannot be had)",
        denials: CALL,
        control: Root,
        run: |_| open_by_handle(),
    },
    Primitive {
        id: "mounts.quotactl",
        tries: "quotactl(Q_SYNC) of every file system",
        denials: CALL,
        control: Root,
        run: |_| {
            const SYNC_USER_QUOTA: u32 = 0x8000_0100;
            call(libc::SYS_quotactl, &[w(SYNC_USER_QUOTA), w(0), w(0), w(0)])?;
            reached("flushed")
        },
    },
    Primitive {
        id: "mounts.swapon",
        tries: "swapon of a file that does not exist (ENOENT past the check)",
        denials: CALL,
        control: Root,
        run: |_| past_the_check(call(libc::SYS_swapon, &[w(c"/probe-no-such-file"), w(0)]), &[libc::ENOENT]),
    },
    Primitive {
        id: "mounts.swapoff",
        tries: "swapoff of a file that does not exist (ENOENT past the check)",
        denials: CALL,
        control: Root,
        run: |_| past_the_check(call(libc::SYS_swapoff, &[w(c"/probe-no-such-file")]), &[libc::ENOENT]),
    },
    Primitive {
        id: "mounts.disk_open",
        tries: "open the first disk of /proc/partitions (or /dev/vda) for reading",
        denials: PATH,
        control: When("root on a host with a disk, where the device cgroup allows it"),
        run: |_| disk_open(),
    },
];

/// A private mount namespace if that is possible. Without one the attempt goes on only inside a sandbox.
pub(crate) fn own_mounts(p: &Params) -> Result<(), Refusal> {
    match call(libc::SYS_unshare, &[w(libc::CLONE_NEWNS)]) {
        Ok(_) => mount([NONE, c"/", NONE], libc::MS_REC | libc::MS_PRIVATE).step("make / private"),
        Err(_) if p.inside() => Ok(()),
        Err(error) => Err(Refusal::Error(format!("refused: no private mount namespace and not inside=1: {error}"))),
    }
}

/// `mount(2)` with source, target and type.
pub(crate) fn mount([source, target, kind]: [&CStr; 3], flags: libc::c_ulong) -> std::io::Result<()> {
    call(libc::SYS_mount, &[w(source), w(target), w(kind), w(flags), w(0)]).map(drop)
}

fn mount_type(p: &Params, kind: &CStr) -> Attempt {
    own_mounts(p)?;
    let target = c_path(&p.scratch()?)?;
    mount([NONE, &target, kind], 0)?;
    reached("mounted")
}

fn bind(p: &Params) -> Attempt {
    own_mounts(p)?;
    let target = c_path(&p.scratch()?)?;
    mount([c"/", &target, NONE], libc::MS_BIND)?;
    reached("bound")
}

fn remount_usr(p: &Params) -> Attempt {
    own_mounts(p)?;
    let remounted = || mount([NONE, c"/usr", NONE], libc::MS_REMOUNT | libc::MS_BIND);
    match remounted() {
        // /usr is no mount point of its own on this host.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            mount([c"/usr", c"/usr", NONE], libc::MS_BIND).step("bind /usr")?;
            remounted()?;
        }
        other => other?,
    }
    reached("/usr is writable")
}

fn move_old(p: &Params) -> Attempt {
    own_mounts(p)?;
    let scratch = p.scratch()?;
    let (from, to) = (scratch.join("from"), scratch.join("to"));
    fs::create_dir(&from).step("mkdir")?;
    fs::create_dir(&to).step("mkdir")?;
    let (from, to) = (c_path(&from)?, c_path(&to)?);
    mount([NONE, &from, c"tmpfs"], 0).step("mount")?;
    mount([&from, &to, NONE], libc::MS_MOVE)?;
    reached("moved")
}

fn pivot(p: &Params) -> Attempt {
    own_mounts(p)?;
    let scratch = p.scratch()?;
    let root = c_path(&scratch)?;
    // Without this bind pivot_root would be refused for another reason; its own check for privilege comes first.
    let bound = mount([&root, &root, NONE], libc::MS_BIND);
    call(libc::SYS_chdir, &[w(root.as_c_str())]).step("chdir")?;
    call(libc::SYS_pivot_root, &[w(c"."), w(c".")])?;
    bound.step("bind")?;
    reached("a root of its own choice")
}

fn chroot_escape(p: &Params) -> Attempt {
    let identity = |path: &str| fs::metadata(path).map(|data| (data.dev(), data.ino()));
    let before = identity("/").step("stat /")?;
    let scratch = p.scratch()?;
    env::set_current_dir("/").step("chdir /")?;
    chroot(scratch).step("chroot")?;
    for _ in 0..64 {
        env::set_current_dir("..").step("chdir ..")?;
    }
    chroot(".").step("chroot .")?;
    if identity("/").step("stat /")? == before {
        return reached("out of the chroot again");
    }
    Err(Refusal::Denied("the second root is not the first".into()))
}

fn node(p: &Params, kind: libc::mode_t, device: libc::dev_t) -> Attempt {
    let path = p.scratch()?.join("node");
    call(libc::SYS_mknodat, &[w(libc::AT_FDCWD), w(c_path(&path)?.as_c_str()), w(kind | 0o600), w(device)])?;
    reached("made")
}

/// `struct file_handle` with room for 128 bytes: length, type, handle.
fn handle_of_root() -> Result<[u32; 34], Refusal> {
    let mut handle = [0u32; 34];
    handle[0] = 128;
    let mut mount_id = 0i32;
    let words = [w(libc::AT_FDCWD), w(c"/"), ptr_mut(&mut handle), ptr_mut(&mut mount_id), w(0)];
    call(libc::SYS_name_to_handle_at, &words)?;
    Ok(handle)
}

fn open_by_handle() -> Attempt {
    let handle = handle_of_root().unwrap_or_else(|_| {
        // The root directory of ext4: type 1 (inode number and generation), inode 2.
        let mut guessed = [0u32; 34];
        guessed[..3].copy_from_slice(&[8, 1, 2]);
        guessed
    });
    let mount_fd = open(c"/", libc::O_RDONLY).step("open /")?;
    call_fd(libc::SYS_open_by_handle_at, &[w(mount_fd), ptr(&handle), w(libc::O_RDONLY)])?;
    reached("opened without a path")
}

fn disk_open() -> Attempt {
    let listed = fs::read_to_string("/proc/partitions").unwrap_or_default();
    let name = listed.lines().skip(2).find_map(|line| line.split_whitespace().nth(3)).unwrap_or("vda");
    fs::File::open(Path::new("/dev").join(name))?;
    reached(format!("/dev/{name} is readable"))
}
