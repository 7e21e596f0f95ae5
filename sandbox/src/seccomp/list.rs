//! System calls that an agent may make whatever their arguments are, and those that it is told do not exist.
//!
//! A call that stands nowhere, here or in `arguments`, answers EPERM and is recorded.

use syscalls::Sysno;

/// Calls that are allowed for one reason.
pub(super) struct Group {
    /// Why an agent needs them and why they are harmless inside; documentation that a test asks for.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reason is read by people and by a test"))]
    pub(super) why: &'static str,
    /// The calls.
    pub(super) calls: &'static [Sysno],
}

/// The newest call this list has considered; a newer one answers ENOSYS until somebody has thought about it.
pub(super) const NEWEST: Sysno = Sysno::file_setattr;

/// Calls answered with ENOSYS and not recorded, since every runtime tries them and has a fallback.
pub(super) const ABSENT: &[Sysno] = &[
    // Its flags lie in memory where no filter sees them; libcs fall back to clone.
    Sysno::clone3,
    // Its mode and flags lie in memory; callers fall back to openat.
    Sysno::openat2,
    // A second system call interface past the filter; libuv and others probe it at every start.
    Sysno::io_uring_setup,
    Sysno::io_uring_enter,
    Sysno::io_uring_register,
    // Its size lies in memory; callers fall back to setxattr.
    Sysno::setxattrat,
    // Newer than most programs and not needed by any: their absence is ordinary.
    Sysno::statmount,
    Sysno::listmount,
    Sysno::file_getattr,
    Sysno::file_setattr,
    Sysno::map_shadow_stack,
];

/// Calls that a program of ours may make besides: it resolves paths beneath a directory, which nothing else can.
pub(super) const HELPERS: &[Sysno] = &[Sysno::openat2];

/// Calls allowed with any arguments.
#[rustfmt::skip]
pub(super) const ALLOWED: &[Group] = &[
    Group { why: "reading and writing descriptors; what they refer to was checked at open", calls: &[
        Sysno::read, Sysno::write, Sysno::readv, Sysno::writev, Sysno::pread64, Sysno::pwrite64, Sysno::preadv, Sysno::pwritev,
        Sysno::preadv2, Sysno::pwritev2, Sysno::lseek, Sysno::sendfile, Sysno::splice, Sysno::tee, Sysno::vmsplice,
        Sysno::copy_file_range, Sysno::close, Sysno::close_range, Sysno::dup, Sysno::dup2, Sysno::dup3,
        Sysno::pipe, Sysno::pipe2, Sysno::readahead, Sysno::fadvise64, Sysno::cachestat,
    ]},
    Group { why: "looking at files; the view and Landlock decide which", calls: &[
        Sysno::stat, Sysno::fstat, Sysno::lstat, Sysno::newfstatat, Sysno::statx, Sysno::statfs, Sysno::fstatfs,
        Sysno::access, Sysno::faccessat, Sysno::faccessat2, Sysno::readlink, Sysno::readlinkat, Sysno::getdents,
        Sysno::getdents64, Sysno::getcwd, Sysno::chdir, Sysno::fchdir, Sysno::getxattr, Sysno::lgetxattr, Sysno::fgetxattr,
        Sysno::listxattr, Sysno::llistxattr, Sysno::flistxattr, Sysno::getxattrat, Sysno::listxattrat,
    ]},
    Group { why: "changing files; permission bits that change identity, and the size of attributes, are filtered in `arguments`, the rest is the view's and Landlock's", calls: &[
        Sysno::mkdir, Sysno::mkdirat, Sysno::rmdir, Sysno::unlink, Sysno::unlinkat, Sysno::rename, Sysno::renameat,
        Sysno::link, Sysno::linkat, Sysno::symlink, Sysno::symlinkat, Sysno::truncate, Sysno::ftruncate,
        Sysno::fallocate, Sysno::fsync, Sysno::fdatasync, Sysno::sync_file_range, Sysno::syncfs, Sysno::sync, Sysno::msync,
        Sysno::flock, Sysno::utime, Sysno::utimes, Sysno::utimensat, Sysno::futimesat, Sysno::chown, Sysno::fchown,
        Sysno::lchown, Sysno::fchownat, Sysno::umask,
        Sysno::removexattr, Sysno::lremovexattr, Sysno::fremovexattr, Sysno::removexattrat,
    ]},
    Group { why: "waiting and being told", calls: &[
        Sysno::poll, Sysno::ppoll, Sysno::select, Sysno::pselect6, Sysno::epoll_create, Sysno::epoll_create1, Sysno::epoll_ctl,
        Sysno::epoll_wait, Sysno::epoll_pwait, Sysno::epoll_pwait2, Sysno::eventfd, Sysno::eventfd2, Sysno::signalfd,
        Sysno::signalfd4, Sysno::timerfd_create, Sysno::timerfd_settime, Sysno::timerfd_gettime, Sysno::inotify_init,
        Sysno::inotify_init1, Sysno::inotify_add_watch, Sysno::inotify_rm_watch, Sysno::pause,
    ]},
    Group { why: "memory of its own; executable mappings are what compilers in runtimes are made of", calls: &[
        Sysno::mmap, Sysno::munmap, Sysno::mremap, Sysno::mprotect, Sysno::pkey_mprotect, Sysno::pkey_alloc, Sysno::pkey_free,
        Sysno::madvise, Sysno::brk, Sysno::mincore, Sysno::mlock, Sysno::mlock2, Sysno::mlockall, Sysno::munlock,
        Sysno::munlockall, Sysno::memfd_create, Sysno::mseal, Sysno::get_mempolicy, Sysno::set_mempolicy, Sysno::mbind,
        Sysno::membarrier,
    ]},
    Group { why: "processes of its own: they stay in its namespaces, its cgroup and under these filters; clone is filtered in `arguments`", calls: &[
        Sysno::fork, Sysno::vfork, Sysno::execve, Sysno::execveat, Sysno::exit, Sysno::exit_group, Sysno::wait4, Sysno::waitid,
        Sysno::set_tid_address, Sysno::set_robust_list, Sysno::get_robust_list, Sysno::rseq, Sysno::getpid, Sysno::getppid,
        Sysno::gettid, Sysno::getpgid, Sysno::getpgrp, Sysno::setpgid, Sysno::getsid, Sysno::setsid, Sysno::arch_prctl,
        Sysno::pidfd_open, Sysno::restart_syscall,
    ]},
    Group { why: "threads waiting for each other", calls: &[
        Sysno::futex, Sysno::futex_waitv, Sysno::futex_wake, Sysno::futex_wait, Sysno::futex_requeue,
    ]},
    Group { why: "signals; the PID namespace and Landlock's scope leave only its own processes to send to", calls: &[
        Sysno::kill, Sysno::tkill, Sysno::tgkill, Sysno::pidfd_send_signal, Sysno::rt_sigaction, Sysno::rt_sigprocmask,
        Sysno::rt_sigreturn, Sysno::rt_sigpending, Sysno::rt_sigtimedwait, Sysno::rt_sigqueueinfo, Sysno::rt_tgsigqueueinfo,
        Sysno::rt_sigsuspend, Sysno::sigaltstack, Sysno::alarm, Sysno::getitimer, Sysno::setitimer,
    ]},
    Group { why: "time, read only, and timers", calls: &[
        Sysno::clock_gettime, Sysno::clock_getres, Sysno::clock_nanosleep, Sysno::nanosleep, Sysno::gettimeofday, Sysno::time,
        Sysno::times, Sysno::timer_create, Sysno::timer_settime, Sysno::timer_gettime, Sysno::timer_getoverrun,
        Sysno::timer_delete,
    ]},
    Group { why: "scheduling of its own; without CAP_SYS_NICE and with RLIMIT_RTPRIO 0 only downwards", calls: &[
        Sysno::sched_yield, Sysno::sched_getaffinity, Sysno::sched_setaffinity, Sysno::sched_getparam, Sysno::sched_setparam,
        Sysno::sched_getscheduler, Sysno::sched_setscheduler, Sysno::sched_get_priority_max,
        Sysno::sched_get_priority_min, Sysno::sched_rr_get_interval, Sysno::sched_getattr, Sysno::getpriority,
        Sysno::setpriority, Sysno::ioprio_get, Sysno::ioprio_set, Sysno::getcpu,
    ]},
    Group { why: "identity: there is one, and no capability to take another", calls: &[
        Sysno::getuid, Sysno::geteuid, Sysno::getgid, Sysno::getegid, Sysno::getgroups, Sysno::getresuid, Sysno::getresgid,
        Sysno::setuid, Sysno::setgid, Sysno::setreuid, Sysno::setregid, Sysno::setresuid, Sysno::setresgid, Sysno::setgroups,
        Sysno::setfsuid, Sysno::setfsgid, Sysno::capget, Sysno::capset,
    ]},
    Group { why: "limits and counters of its own", calls: &[
        Sysno::getrlimit, Sysno::setrlimit, Sysno::prlimit64, Sysno::getrusage, Sysno::sysinfo, Sysno::uname, Sysno::getrandom,
    ]},
    Group { why: "sockets that exist already; socket, socketpair and setsockopt are filtered in `arguments`", calls: &[
        Sysno::connect, Sysno::bind, Sysno::listen, Sysno::accept, Sysno::accept4, Sysno::shutdown, Sysno::getsockname,
        Sysno::getpeername, Sysno::getsockopt, Sysno::sendto, Sysno::recvfrom, Sysno::sendmsg,
        Sysno::recvmsg, Sysno::sendmmsg, Sysno::recvmmsg,
    ]},
    Group { why: "System V and POSIX queues; the IPC namespace holds only its own", calls: &[
        Sysno::shmget, Sysno::shmat, Sysno::shmdt, Sysno::shmctl, Sysno::semget, Sysno::semop, Sysno::semtimedop, Sysno::semctl,
        Sysno::msgget, Sysno::msgsnd, Sysno::msgrcv, Sysno::msgctl, Sysno::mq_open, Sysno::mq_unlink, Sysno::mq_timedsend,
        Sysno::mq_timedreceive, Sysno::mq_notify, Sysno::mq_getsetattr,
    ]},
    Group { why: "confining itself further", calls: &[
        Sysno::landlock_create_ruleset, Sysno::landlock_add_rule,
    ]},
];
