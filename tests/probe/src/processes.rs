//! Looking into another process: tracing, its memory, its descriptors, its files under /proc.

use std::{ffi::CString, fs};

use crate::{
    denials::{CALL, PROCESS},
    outcome::{Attempt, Refusal, Step, reached},
    params::Params,
    primitive::{Control::Root, Primitive},
    syscall::{Fork, call, call_fd, exit_now, fork, open, own_pid, ptr_mut, w, wait_for},
};

/// What `probe targets` keeps at `host_addr`; reading it back proves that the memory is the target's.
pub(crate) const CANARY: &[u8; 32] = b"canary-in-the-memory-of-a-target";

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "processes.ptrace_attach",
        tries: "PTRACE_ATTACH to host_pid, then detach",
        denials: PROCESS,
        control: Root,
        run: |p| ptrace_attach(p.host_pid()?),
    },
    Primitive {
        id: "processes.ptrace_seize",
        tries: "PTRACE_SEIZE of host_pid (the tracer's end releases it)",
        denials: PROCESS,
        control: Root,
        run: |p| ptrace_seize(p.host_pid()?),
    },
    Primitive {
        id: "processes.ptrace_traceme",
        tries: "PTRACE_TRACEME: make the parent a tracer",
        denials: CALL,
        control: Root,
        run: |_| {
            call(libc::SYS_ptrace, &[w(libc::PTRACE_TRACEME)])?;
            reached("the parent traces this process")
        },
    },
    Primitive {
        id: "processes.ptrace_own_child",
        tries: "PTRACE_SEIZE of a child of its own",
        denials: CALL,
        control: Root,
        run: |_| ptrace_own_child(),
    },
    Primitive {
        id: "processes.vm_readv",
        tries: "process_vm_readv at host_addr of host_pid",
        denials: PROCESS,
        control: Root,
        run: |p| vm_transfer(p, libc::SYS_process_vm_readv),
    },
    Primitive {
        id: "processes.vm_writev",
        tries: "process_vm_writev at host_addr of host_pid (the bytes that are there)",
        denials: PROCESS,
        control: Root,
        run: |p| vm_transfer(p, libc::SYS_process_vm_writev),
    },
    Primitive {
        id: "processes.pidfd_open",
        tries: "pidfd_open of host_pid",
        denials: PROCESS,
        control: Root,
        run: |p| {
            call_fd(libc::SYS_pidfd_open, &[w(p.host_pid()?), w(0)])?;
            reached("a pidfd of the host process")
        },
    },
    Primitive {
        id: "processes.pidfd_getfd",
        tries: "pidfd_getfd: take descriptor host_fd out of host_pid",
        denials: PROCESS,
        control: Root,
        run: |p| take_descriptor(p.host_pid()?, p.number("host_fd")?),
    },
    Primitive {
        id: "processes.kcmp",
        tries: "kcmp of its own and host_pid's memory",
        denials: PROCESS,
        control: Root,
        run: |p| {
            const KCMP_VM: i32 = 1;
            let order = call(libc::SYS_kcmp, &[w(own_pid()), w(p.host_pid()?), w(KCMP_VM)])?;
            reached(format!("compared: {order}"))
        },
    },
    Primitive {
        id: "processes.madvise",
        tries: "process_madvise(MADV_COLD) at host_addr of host_pid",
        denials: PROCESS,
        control: Root,
        run: madvise,
    },
    Primitive {
        id: "processes.mrelease",
        tries: "process_mrelease of host_pid (EINVAL past the check: it is not dying)",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let pidfd = call_fd(libc::SYS_pidfd_open, &[w(p.host_pid()?), w(0)]).step("pidfd_open")?;
            crate::outcome::past_the_check(call(libc::SYS_process_mrelease, &[w(pidfd), w(0)]), &[libc::EINVAL])
        },
    },
    Primitive {
        id: "processes.robust_list",
        tries: "get_robust_list of host_pid: an address in its memory",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let (mut head, mut length) = (0usize, 0usize);
            call(libc::SYS_get_robust_list, &[w(p.host_pid()?), ptr_mut(&mut head), ptr_mut(&mut length)])?;
            reached("the address of the list head")
        },
    },
    Primitive {
        id: "processes.proc_visible",
        tries: "stat /proc/host_pid",
        denials: PROCESS,
        control: Root,
        run: |p| {
            fs::metadata(format!("/proc/{}", p.host_pid()?))?;
            reached("the host process is visible")
        },
    },
    Primitive {
        id: "processes.proc_mem",
        tries: "read /proc/host_pid/mem at host_addr",
        denials: PROCESS,
        control: Root,
        run: |p| proc_mem(p.host_pid()?, p.number("host_addr")?),
    },
    Primitive {
        id: "processes.proc_environ",
        tries: "read /proc/host_pid/environ",
        denials: PROCESS,
        control: Root,
        run: |p| proc_read(p.host_pid()?, "environ"),
    },
    Primitive {
        id: "processes.proc_maps",
        tries: "read /proc/host_pid/maps",
        denials: PROCESS,
        control: Root,
        run: |p| proc_read(p.host_pid()?, "maps"),
    },
    Primitive {
        id: "processes.proc_root",
        tries: "list /proc/host_pid/root/",
        denials: PROCESS,
        control: Root,
        run: |p| proc_list(p.host_pid()?, "root/"),
    },
    Primitive {
        id: "processes.proc_cwd",
        tries: "list /proc/host_pid/cwd/",
        denials: PROCESS,
        control: Root,
        run: |p| proc_list(p.host_pid()?, "cwd/"),
    },
    Primitive {
        id: "processes.proc_fd",
        tries: "list /proc/host_pid/fd",
        denials: PROCESS,
        control: Root,
        run: |p| proc_list(p.host_pid()?, "fd"),
    },
    Primitive {
        id: "processes.proc_fd_open",
        tries: "open /proc/host_pid/fd/host_fd",
        denials: PROCESS,
        control: Root,
        run: |p| {
            fs::File::open(format!("/proc/{}/fd/{}", p.host_pid()?, p.number::<u32>("host_fd")?))?;
            reached("the host process's file, opened again")
        },
    },
    Primitive {
        id: "processes.proc_oom_score",
        tries: "open /proc/host_pid/oom_score_adj for writing",
        denials: PROCESS,
        control: Root,
        run: |p| {
            fs::OpenOptions::new().write(true).open(format!("/proc/{}/oom_score_adj", p.host_pid()?))?;
            reached("could choose whom the kernel kills")
        },
    },
];

fn ptrace_attach(pid: i32) -> Attempt {
    call(libc::SYS_ptrace, &[w(libc::PTRACE_ATTACH), w(pid)])?;
    wait_for(pid, libc::__WALL).step("wait for the tracee")?;
    call(libc::SYS_ptrace, &[w(libc::PTRACE_DETACH), w(pid)]).step("detach")?;
    reached("attached and detached")
}

fn ptrace_seize(pid: i32) -> Attempt {
    call(libc::SYS_ptrace, &[w(libc::PTRACE_SEIZE), w(pid)])?;
    reached("seized")
}

fn ptrace_own_child() -> Attempt {
    match fork().step("fork")? {
        Fork::Child => {
            std::thread::sleep(std::time::Duration::from_secs(1));
            exit_now(0);
        }
        Fork::Parent(child) => {
            let attempt = ptrace_seize(child);
            call(libc::SYS_kill, &[w(child), w(libc::SIGKILL)]).step("kill the child")?;
            attempt
        }
    }
}

fn vm_transfer(p: &Params, number: i64) -> Attempt {
    let mut bytes = *CANARY;
    if number == libc::SYS_process_vm_readv {
        bytes.fill(0);
    }
    let remote = [p.number::<usize>("host_addr")?, bytes.len()];
    let mut local = [std::ptr::from_mut(&mut bytes).expose_provenance(), CANARY.len()];
    let moved = call(number, &[w(p.host_pid()?), ptr_mut(&mut local), w(1), crate::syscall::ptr(&remote), w(1), w(0)])?;
    if usize::try_from(moved) == Ok(CANARY.len()) && bytes == *CANARY {
        return reached("the target's canary");
    }
    Err(Refusal::Error(format!("moved {moved} bytes, but not the canary")))
}

/// Copies a descriptor out of another process.
pub(crate) fn take_descriptor(pid: i32, descriptor: i32) -> Attempt {
    let pidfd = call_fd(libc::SYS_pidfd_open, &[w(pid), w(0)]).step("pidfd_open")?;
    call_fd(libc::SYS_pidfd_getfd, &[w(pidfd), w(descriptor), w(0)]).step("pidfd_getfd")?;
    reached("a descriptor of that process")
}

fn madvise(p: &Params) -> Attempt {
    let pidfd = call_fd(libc::SYS_pidfd_open, &[w(p.host_pid()?), w(0)]).step("pidfd_open")?;
    let address = p.number::<usize>("host_addr")? & !0xfff;
    let range = [address, 4096];
    let words = [w(pidfd), crate::syscall::ptr(&range), w(1), w(libc::MADV_COLD), w(0)];
    call(libc::SYS_process_madvise, &words)?;
    reached("advised the kernel about another's memory")
}

fn proc_mem(pid: i32, address: u64) -> Attempt {
    let path = CString::new(format!("/proc/{pid}/mem")).map_err(|error| Refusal::Error(error.to_string()))?;
    let fd = open(&path, libc::O_RDONLY)?;
    let mut bytes = [0u8; CANARY.len()];
    call(libc::SYS_pread64, &[w(fd), ptr_mut(&mut bytes), w(CANARY.len()), w(address)]).step("read")?;
    if bytes == *CANARY {
        reached("the target's canary")
    } else {
        Err(Refusal::Error("read, but not the canary".into()))
    }
}

/// Reads one byte of a file of `pid`; only whether it can be read is reported.
pub(crate) fn proc_read(pid: i32, name: &str) -> Attempt {
    let mut file = fs::File::open(format!("/proc/{pid}/{name}"))?;
    let length = std::io::Read::read(&mut file, &mut [0u8; 1]).step("read")?;
    if length == 1 { reached("readable") } else { Err(Refusal::Denied("opened, but empty".into())) }
}

/// Lists a directory of `pid`. An empty one was still listed.
pub(crate) fn proc_list(pid: i32, name: &str) -> Attempt {
    let entries = fs::read_dir(format!("/proc/{pid}/{name}"))?.count();
    reached(format!("{entries} entries"))
}
