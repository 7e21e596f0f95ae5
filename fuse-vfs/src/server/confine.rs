//! What the server gives up before it serves.
//!
//! It needs CAP_SYS_ADMIN, because the kernel asks for it where a backing file is registered for passthrough
//! (`fuse_backing_open()`), and CAP_DAC_OVERRIDE, because an agent may take its own rights to a file away and the file
//! still is to be deleted and restored. So that these two reach nothing, it has no path but an empty read-only root, no
//! network, and no system call that mounts, traces, loads or executes.

use caps::{CapSet, Capability, CapsHashSet};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, chdir, pivot_root, setgroups, setresgid, setresuid};
use rustix::thread::set_no_new_privs;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;
use std::fs;
use syscalls::Sysno;

/// The server's own user and group.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Never 0.
    pub uid: u32,
    /// Never 0.
    pub gid: u32,
}

/// A step that could not be taken: a fragment fit for "failed to …". The server does not run then.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A system call.
    #[error("{0}: {1}")]
    Kernel(&'static str, nix::Error),
    /// The same, from another library.
    #[error("{0}: {1}")]
    Errno(&'static str, rustix::io::Errno),
    /// A capability set.
    #[error("{0}: {1}")]
    Capabilities(&'static str, caps::errors::CapsError),
    /// The filter.
    #[error("{0}: {1}")]
    Filter(&'static str, String),
}

/// In this order: limits while we may raise them, the root while we may mount, identity while we may change it, powers
/// while the filter still lets us give them up.
///
/// # Errors
/// [`Failure`] names the step.
pub fn confine(identity: Identity, passthrough: bool) -> Result<(), Failure> {
    raise_descriptor_limit()?;
    empty_root()?;
    become_user(identity, passthrough)?;
    set_no_new_privs(true).map_err(|error| Failure::Errno("set no_new_privs", error))?;
    filter_system_calls()
}

/// Each file that an agent has open is one here too.
fn raise_descriptor_limit() -> Result<(), Failure> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| Failure::Kernel("read RLIMIT_NOFILE", error))?;
    let most = fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    let wanted = most.unwrap_or(hard).max(hard);
    // Without CAP_SYS_RESOURCE the present hard limit is what there is.
    setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted)
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard, hard))
        .map_err(|error| Failure::Kernel("raise RLIMIT_NOFILE", error))?;
    crate::descriptors::most();
    Ok(())
}

/// Descriptors that are handed over work without any path; /proc only serves as a place that is always there.
fn empty_root() -> Result<(), Failure> {
    const PLACE: &str = "/proc";
    const NOTHING: Option<&str> = None;
    let step = |what| move |error| Failure::Kernel(what, error);
    let apart =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    unshare(apart).map_err(step("enter namespaces of its own"))?;
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)
        .map_err(step("make its mounts private"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("agentos-vfs"), PLACE, Some("tmpfs"), flags, Some("size=4k,nr_inodes=2,mode=0555"))
        .map_err(step("mount an empty root"))?;
    chdir(PLACE).map_err(step("enter the empty root"))?;
    pivot_root(".", ".").map_err(step("make the empty root its root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(step("let go of the host's files"))?;
    mount(NOTHING, "/", NOTHING, flags | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, NOTHING)
        .map_err(step("make the empty root read-only"))
}

fn become_user(identity: Identity, passthrough: bool) -> Result<(), Failure> {
    let mut kept: CapsHashSet = CapsHashSet::from([Capability::CAP_DAC_OVERRIDE]);
    if passthrough {
        kept.insert(Capability::CAP_SYS_ADMIN);
    }
    let step = |what| move |error| Failure::Kernel(what, error);
    let powers = |what| move |error| Failure::Capabilities(what, error);
    rustix::process::umask(rustix::fs::Mode::empty());
    caps::clear(None, CapSet::Ambient).map_err(powers("clear its ambient capabilities"))?;
    for capability in caps::runtime::thread_all_supported() {
        if !kept.contains(&capability) {
            caps::drop(None, CapSet::Bounding, capability).map_err(powers("shrink its bounding set"))?;
        }
    }
    caps::securebits::set_keepcaps(true).map_err(powers("keep capabilities across setresuid(2)"))?;
    setgroups(&[]).map_err(step("leave its groups"))?;
    let gid = Gid::from_raw(identity.gid);
    setresgid(gid, gid, gid).map_err(step("change its group"))?;
    let uid = Uid::from_raw(identity.uid);
    setresuid(uid, uid, uid).map_err(step("change its user"))?;
    caps::set(None, CapSet::Effective, &kept).map_err(powers("set its effective capabilities"))?;
    caps::set(None, CapSet::Permitted, &kept).map_err(powers("set its permitted capabilities"))?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new()).map_err(powers("clear its inheritable capabilities"))
}

/// Calls that no argument matters for.
#[rustfmt::skip]
const CALLS: &[Sysno] = &[
    // Requests, replies, orders.
    Sysno::read, Sysno::write, Sysno::readv, Sysno::writev, Sysno::recvmsg, Sysno::sendto, Sysno::sendmsg,
    Sysno::accept4, Sysno::getsockopt, Sysno::poll, Sysno::ppoll, Sysno::close,
    // Files.
    Sysno::openat, Sysno::statx, Sysno::fstat, Sysno::newfstatat, Sysno::lseek, Sysno::pread64, Sysno::pwrite64,
    Sysno::pwritev2, Sysno::ftruncate, Sysno::fallocate, Sysno::fsync, Sysno::fdatasync, Sysno::getdents64,
    Sysno::mkdirat, Sysno::mknodat, Sysno::symlinkat, Sysno::linkat, Sysno::unlinkat, Sysno::renameat,
    Sysno::renameat2, Sysno::readlinkat, Sysno::fchmod, Sysno::fchmodat, Sysno::utimensat, Sysno::fgetxattr,
    Sysno::fsetxattr, Sysno::flistxattr, Sysno::fremovexattr, Sysno::fstatfs,
    // Memory and threads.
    Sysno::brk, Sysno::munmap, Sysno::mremap, Sysno::madvise, Sysno::futex, Sysno::set_robust_list, Sysno::rseq,
    Sysno::rt_sigaction, Sysno::rt_sigprocmask, Sysno::rt_sigreturn, Sysno::sigaltstack, Sysno::sched_yield,
    Sysno::sched_getaffinity, Sysno::gettid, Sysno::getpid, Sysno::tgkill, Sysno::exit, Sysno::exit_group,
    Sysno::clock_gettime, Sysno::clock_nanosleep, Sysno::nanosleep, Sysno::restart_syscall, Sysno::getrandom,
    Sysno::membarrier, Sysno::fcntl,
];

/// `FUSE_DEV_IOC_BACKING_OPEN` and `FUSE_DEV_IOC_BACKING_CLOSE` (linux/fuse.h).
const IOCTLS: [u64; 2] = [0x4010_e501, 0x4004_e502];
/// `PR_SET_NAME`, and `PR_SET_VMA`, with which the allocator names its memory.
const PRCTLS: [u64; 2] = [15, 0x5356_4d41];
/// `CLONE_THREAD`: no new process.
const CLONE_THREAD: u64 = 0x1_0000;
const PROT_EXEC: u64 = 4;

fn filter_system_calls() -> Result<(), Failure> {
    let failed = |what| move |error: String| Failure::Filter(what, error);
    let program = program().map_err(failed("compile its system call filter"))?;
    seccompiler::apply_filter(&program).map_err(|error| failed("load its system call filter")(error.to_string()))
}

fn program() -> Result<BpfProgram, String> {
    let text = |error: seccompiler::BackendError| error.to_string();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (number(*call), Vec::new())).collect();
    let one = |index, operator, value| {
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(text)
    };
    let of = |values: &[u64], index| -> Result<Vec<SeccompRule>, String> {
        values.iter().map(|value| one(index, SeccompCmpOp::Eq, *value)).collect()
    };
    rules.insert(number(Sysno::ioctl), of(&IOCTLS, 1)?);
    rules.insert(number(Sysno::prctl), of(&PRCTLS, 0)?);
    rules.insert(number(Sysno::clone), vec![one(0, SeccompCmpOp::MaskedEq(CLONE_THREAD), CLONE_THREAD)?]);
    for call in [Sysno::mmap, Sysno::mprotect] {
        rules.insert(number(call), vec![one(2, SeccompCmpOp::MaskedEq(PROT_EXEC), 0)?]);
    }
    // ENOSYS: for clone3(2), whose arguments no filter sees, the C library then takes clone(2).
    let otherwise = SeccompAction::Errno(rustix::io::Errno::NOSYS.raw_os_error().cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into().map_err(text)?;
    let filter = SeccompFilter::new(rules, otherwise, SeccompAction::Allow, architecture).map_err(text)?;
    filter.try_into().map_err(text)
}

fn number(call: Sysno) -> i64 {
    i64::from(call.id())
}
