//! The mount calls by descriptor, and fanotify. A filter that knows only `mount` misses these.

use crate::{
    denials::{CALL, TREE},
    mounts::own_mounts,
    outcome::{Attempt, Refusal, Step, reached},
    params::{Params, c_path},
    primitive::{Control::Root, Primitive},
    syscall::{call, call_fd, ptr, w},
};

const FSCONFIG_CMD_CREATE: i32 = 6;
const OPEN_TREE_CLONE: i32 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: i32 = 4;
const MOUNT_ATTR_NOEXEC: u64 = 8;
const SYS_OPEN_TREE_ATTR: i64 = 467;
const FAN_CLASS_CONTENT: i32 = 4;
const FAN_REPORT_FID: i32 = 0x200;

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "mounts.fsopen",
        tries: "fsopen(tmpfs)",
        denials: CALL,
        control: Root,
        run: |_| {
            fsopen()?;
            reached("a file system to configure")
        },
    },
    Primitive {
        id: "mounts.fsconfig",
        tries: "fsopen, fsconfig(CREATE): a superblock",
        denials: CALL,
        control: Root,
        run: |_| {
            fsconfig()?;
            reached("a superblock")
        },
    },
    Primitive {
        id: "mounts.fsmount",
        tries: "fsopen, fsconfig, fsmount: a detached mount",
        denials: CALL,
        control: Root,
        run: |_| {
            fsmount()?;
            reached("a detached mount")
        },
    },
    Primitive {
        id: "mounts.fspick",
        tries: "fspick of /: reconfigure what is mounted",
        denials: CALL,
        control: Root,
        run: |_| {
            call_fd(libc::SYS_fspick, &[w(libc::AT_FDCWD), w(c"/"), w(0)])?;
            reached("the root's superblock to configure")
        },
    },
    Primitive {
        id: "mounts.open_tree_clone",
        tries: "open_tree(/, OPEN_TREE_CLONE)",
        denials: CALL,
        control: Root,
        run: |_| {
            open_tree()?;
            reached("a copy of the tree")
        },
    },
    Primitive {
        id: "mounts.open_tree_attr",
        tries: "open_tree_attr(/, OPEN_TREE_CLONE)",
        denials: CALL,
        control: Root,
        run: |_| {
            let words = [w(libc::AT_FDCWD), w(c"/"), w(OPEN_TREE_CLONE | libc::O_CLOEXEC), w(0), w(0)];
            call_fd(SYS_OPEN_TREE_ATTR, &words)?;
            reached("a copy of the tree")
        },
    },
    Primitive {
        id: "mounts.move_mount",
        tries: "open_tree and move_mount onto a directory of its own",
        denials: TREE,
        control: Root,
        run: move_mount,
    },
    Primitive {
        id: "mounts.mount_setattr",
        tries: "mount_setattr: add noexec to /",
        denials: TREE,
        control: Root,
        run: |p| {
            own_mounts(p)?;
            let attributes = [MOUNT_ATTR_NOEXEC, 0, 0, 0];
            call(libc::SYS_mount_setattr, &[w(libc::AT_FDCWD), w(c"/"), w(0), ptr(&attributes), w(32)])?;
            reached("changed the options of /")
        },
    },
    Primitive {
        id: "mounts.mount_setattr_clear",
        tries: "mount_setattr: clear every restriction of /usr",
        denials: TREE,
        control: Root,
        run: clear_restrictions,
    },
    Primitive {
        id: "mounts.fanotify_content",
        tries: "fanotify_init(FAN_CLASS_CONTENT): hold up others' opens",
        denials: CALL,
        control: Root,
        run: |_| fanotify(FAN_CLASS_CONTENT),
    },
    Primitive {
        id: "mounts.fanotify_notify",
        tries: "fanotify_init(FAN_REPORT_FID): watch others' opens",
        denials: CALL,
        control: Root,
        run: |_| fanotify(FAN_REPORT_FID),
    },
];

fn fsopen() -> Result<i32, Refusal> {
    call_fd(libc::SYS_fsopen, &[w(c"tmpfs"), w(1)]).step("fsopen")
}

fn fsconfig() -> Result<i32, Refusal> {
    let context = fsopen()?;
    call(libc::SYS_fsconfig, &[w(context), w(FSCONFIG_CMD_CREATE)]).step("fsconfig")?;
    Ok(context)
}

fn fsmount() -> Result<i32, Refusal> {
    let context = fsconfig()?;
    call_fd(libc::SYS_fsmount, &[w(context), w(1), w(0)]).step("fsmount")
}

fn open_tree() -> Result<i32, Refusal> {
    let words = [w(libc::AT_FDCWD), w(c"/"), w(OPEN_TREE_CLONE | libc::O_CLOEXEC)];
    call_fd(libc::SYS_open_tree, &words).step("open_tree")
}

fn move_mount(p: &Params) -> Attempt {
    own_mounts(p)?;
    let target = c_path(&p.scratch()?)?;
    let tree = open_tree()?;
    let words = [w(tree), w(c""), w(libc::AT_FDCWD), w(target.as_c_str()), w(MOVE_MOUNT_F_EMPTY_PATH)];
    call(libc::SYS_move_mount, &words).step("move_mount")?;
    reached("attached")
}

fn clear_restrictions(p: &Params) -> Attempt {
    own_mounts(p)?;
    let clear = || {
        // read-only, nosuid, nodev, noexec
        let attributes = [0u64, 0xf, 0, 0];
        call(libc::SYS_mount_setattr, &[w(libc::AT_FDCWD), w(c"/usr"), w(0), ptr(&attributes), w(32)])
    };
    match clear() {
        // /usr is no mount point of its own on this host.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            crate::mounts::mount([c"/usr", c"/usr", c"none"], libc::MS_BIND).step("bind /usr")?;
            clear()?;
        }
        other => drop(other?),
    }
    reached("/usr without restrictions")
}

fn fanotify(class: i32) -> Attempt {
    call_fd(libc::SYS_fanotify_init, &[w(class), w(libc::O_RDONLY)])?;
    reached("a fanotify group")
}
