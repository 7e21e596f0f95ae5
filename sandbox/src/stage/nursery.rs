//! The mount namespace that every agent's begins as a copy of. A copy of the host's would be one of each mount of each
//! other agent, made and taken down again for every start.

use super::step::{Attempt as _, Step};
use crate::message::Failure;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A root with an empty `/proc` in it, which no process lives in.
#[derive(Clone, Debug)]
pub struct Nursery(Arc<OwnedFd>);

impl Nursery {
    /// Makes it. The calling thread stays where it is.
    ///
    /// # Errors
    /// As `unshare(2)` and `mount(2)`: CAP_SYS_ADMIN is needed.
    pub fn make() -> Result<Self, Failure> {
        let thread = std::thread::Builder::new().name("nursery".to_owned()).spawn(make);
        let made = thread.attempt("start a thread").and_then(|thread| {
            thread.join().map_err(|_| io::Error::other("the thread panicked")).attempt("make a mount namespace")?
        });
        made.map(|namespace| Self(Arc::new(namespace))).map_err(Failure::from)
    }
}

impl AsFd for Nursery {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// On a thread of its own, whose view of the file system ends with it.
fn make() -> Step<OwnedFd> {
    const ANY: &str = "/proc";
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)
        .map_err(io::Error::from)
        .attempt("make a mount namespace")?;
    let namespace = rustix::fs::open("/proc/thread-self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .attempt("open the mount namespace")?;
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .map_err(io::Error::from)
        .attempt("leave the host's mount events")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), ANY, Some("tmpfs"), flags, Some("size=4k,nr_inodes=4,mode=0555"))
        .map_err(io::Error::from)
        .attempt("mount an empty root")?;
    chdir(ANY).map_err(io::Error::from).attempt("enter the empty root")?;
    fs::create_dir("proc").attempt("make a place to mount over")?;
    pivot_root(".", ".").map_err(io::Error::from).attempt("pivot into the empty root")?;
    umount2(".", MntFlags::MNT_DETACH).map_err(io::Error::from).attempt("detach the host's root")?;
    mount(nothing, "/", nothing, flags | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, nothing)
        .map_err(io::Error::from)
        .attempt("make the empty root read-only")?;
    Ok(namespace)
}
