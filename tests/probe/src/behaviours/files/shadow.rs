//! Every way of writing into a directory, of hiding it, or of putting another in its place.

use super::{FORGED, Place, Way, c_path, each, way};
use crate::syscall::{call, call_fd, ptr, w};
use std::{fs, io, os::unix::fs::symlink, path::Path};

const OPEN_TREE_CLONE: u32 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;
const AT_RECURSIVE: u32 = 0x8000;

#[rustfmt::skip]
const WAYS: &[Way] = &[
    way("create", |p| fs::write(p.directory.join("rules.yaml.new"), FORGED)),
    way("overwrite", |p| fs::write(p.directory.join("rules.yaml"), FORGED)),
    way("append", |p| fs::File::options().append(true).open(p.directory.join("digest")).map(drop)),
    way("make_directory", |p| fs::create_dir(p.directory.join("own"))),
    way("make_link", |p| symlink("/etc", p.directory.join("link"))),
    way("hard_link", |p| fs::hard_link(p.directory.join("digest"), p.directory.join("digest2"))),
    way("chmod", |p| call(libc::SYS_chmod, &[w(c_path(&p.directory.join("rules.yaml"))?.as_c_str()), w(0o666)]).map(drop)),
    way("set_times", |p| fs::File::open(p.directory.join("digest"))?.set_modified(std::time::UNIX_EPOCH)),
    way("setxattr", setxattr),
    way("rename_within", |p| fs::rename(p.directory.join("rules.yaml"), p.directory.join("old.yaml"))),
    way("unlink", |p| fs::remove_file(p.directory.join("digest"))),
    way("mount_tmpfs_over", |p| mount(c"tmpfs", &p.directory, Some(c"tmpfs"), 0)),
    way("bind_over", |p| mount(c"/usr", &p.directory, None, libc::MS_BIND)),
    way("remount_writable", |p| mount(c"none", &p.directory, None, libc::MS_BIND | libc::MS_REMOUNT)),
    way("mount_attributes", mount_attributes),
    way("open_tree_and_move", open_tree_and_move),
    way("move_mount_away", |p| mount(c_path(&p.directory)?.as_c_str(), Path::new("/mnt"), None, libc::MS_MOVE)),
    way("unmount", |p| call(libc::SYS_umount2, &[w(c_path(&p.directory)?.as_c_str()), w(libc::MNT_DETACH)]).map(drop)),
    way("own_mount_namespace", |_| call(libc::SYS_unshare, &[w(libc::CLONE_NEWNS)]).map(drop)),
    way("chroot", |p| call(libc::SYS_chroot, &[w(c_path(&p.directory)?.as_c_str())]).map(drop)),
];

/// `probe shadow DIR`. As a control it needs a mount namespace of its own around it; it must never meet a host's.
pub(crate) fn shadow(directory: &Path) -> io::Result<u8> {
    each(directory, WAYS, |_| Ok(()))
}

/// `probe rename-away DIR`: takes the directory itself away, which ends what can be tried with it.
pub(crate) fn rename_away(directory: &Path) -> io::Result<u8> {
    const AWAY: &[Way] = &[
        way("rename_directory", |p| {
            let away = p.directory.with_extension("old");
            fs::rename(&p.directory, &away).and_then(|()| fs::rename(&away, &p.directory))
        }),
        way("remove_directory", |p| fs::remove_dir_all(&p.directory)),
    ];
    each(directory, AWAY, |_| Ok(()))
}

fn mount(source: &std::ffi::CStr, target: &Path, kind: Option<&std::ffi::CStr>, flags: u64) -> io::Result<()> {
    let target = c_path(target)?;
    let kind = kind.map_or(w(0), w);
    call(libc::SYS_mount, &[w(source), w(target.as_c_str()), kind, w(flags), w(0)]).map(drop)
}

fn setxattr(place: &Place) -> io::Result<()> {
    let path = c_path(&place.directory.join("rules.yaml"))?;
    let words = [w(path.as_c_str()), w(c"user.note"), ptr(FORGED), w(FORGED.len()), w(0)];
    call(libc::SYS_setxattr, &words).map(drop)
}

/// `mount_setattr(2)`: clears MOUNT_ATTR_RDONLY.
fn mount_attributes(place: &Place) -> io::Result<()> {
    let attributes: [u64; 4] = [0, 1, 0, 0];
    let path = c_path(&place.directory)?;
    let words = [w(libc::AT_FDCWD), w(path.as_c_str()), w(AT_RECURSIVE), ptr(&attributes), w(32)];
    call(libc::SYS_mount_setattr, &words).map(drop)
}

fn open_tree_and_move(place: &Place) -> io::Result<()> {
    let tree = call_fd(libc::SYS_open_tree, &[w(libc::AT_FDCWD), w(c"/usr"), w(OPEN_TREE_CLONE)])?;
    let path = c_path(&place.directory)?;
    let words = [w(tree), w(c""), w(libc::AT_FDCWD), w(path.as_c_str()), w(MOVE_MOUNT_F_EMPTY_PATH)];
    call(libc::SYS_move_mount, &words).map(drop)
}
