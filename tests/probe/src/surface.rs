//! Large or fragile parts of the kernel that no agent needs: the fewer answer, the fewer bugs count.

use std::fs;

use libc::{EBADF, ENOENT};

use crate::{
    denials::{CALL, PATH},
    outcome::{Attempt, Step, past_the_check, reached},
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{call, call_fd, ptr, ptr_mut, w},
};

const KEYRING_OF_PROCESS: i32 = -2;
const KEYRING_OF_SESSION: i32 = -3;
const ENOKEY: i32 = 126;
const BUSY: &[i32] = &[libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EBUSY];
const KEYS: &str = "root, where the kernel has CONFIG_KEYS";

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "kernel.bpf_map",
        tries: "bpf(MAP_CREATE): an array of one element",
        denials: CALL,
        control: Root,
        run: |_| {
            // type array, key 4, value 8, one entry
            let attributes = [2u32, 4, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0];
            call_fd(libc::SYS_bpf, &[w(0), ptr(&attributes), w(48)])?;
            reached("a map")
        },
    },
    Primitive {
        id: "kernel.bpf_program",
        tries: "bpf(PROG_LOAD): a socket filter that returns 0",
        denials: CALL,
        control: Root,
        run: |_| bpf_program(),
    },
    Primitive {
        id: "kernel.perf_event",
        tries: "perf_event_open: a software clock on itself",
        denials: CALL,
        control: Root,
        run: |_| {
            // struct perf_event_attr: type software and size, config cpu-clock, then exclude_kernel and exclude_hv.
            let mut attributes = [0u64; 16];
            attributes[0] = 1 | (128 << 32);
            attributes[5] = (1 << 5) | (1 << 6);
            call_fd(libc::SYS_perf_event_open, &[ptr(&attributes), w(0), w(-1), w(-1), w(0)])?;
            reached("a counter")
        },
    },
    Primitive {
        id: "kernel.userfaultfd",
        tries: "userfaultfd(UFFD_USER_MODE_ONLY)",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_USERFAULTFD"),
        run: |_| {
            call_fd(libc::SYS_userfaultfd, &[w(libc::O_CLOEXEC | 1)])?;
            reached("its own page faults to hold up")
        },
    },
    Primitive {
        id: "kernel.userfaultfd_device",
        tries: "open /dev/userfaultfd",
        denials: PATH,
        control: When("root, where the kernel has CONFIG_USERFAULTFD"),
        run: |_| {
            fs::File::options().read(true).write(true).open("/dev/userfaultfd")?;
            reached("page faults of the kernel to hold up")
        },
    },
    Primitive {
        id: "kernel.io_uring_setup",
        tries: "io_uring_setup of one entry: system calls that no filter sees",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_IO_URING"),
        run: |_| {
            call_fd(libc::SYS_io_uring_setup, &[w(1), ptr_mut(&mut [0u64; 15])])?;
            reached("a ring")
        },
    },
    Primitive {
        id: "kernel.io_uring_enter",
        tries: "io_uring_enter of descriptor -1 (EBADF past the filter)",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_IO_URING"),
        run: |_| past_the_check(call(libc::SYS_io_uring_enter, &[w(-1), w(0), w(0), w(0)]), &[EBADF]),
    },
    Primitive {
        id: "kernel.add_key",
        tries: "add_key to its process keyring",
        denials: CALL,
        control: When(KEYS),
        run: |_| {
            call(libc::SYS_add_key, &[w(c"user"), w(c"probe"), w(c"x"), w(1), w(KEYRING_OF_PROCESS)])?;
            reached("a key in the kernel")
        },
    },
    Primitive {
        id: "kernel.request_key",
        tries: "request_key of a key that does not exist (ENOKEY past the filter)",
        denials: CALL,
        control: When(KEYS),
        run: |_| {
            past_the_check(call(libc::SYS_request_key, &[w(c"user"), w(c"probe-none"), w(0), w(0)]), &[ENOKEY, ENOENT])
        },
    },
    Primitive {
        id: "kernel.keyctl",
        tries: "keyctl(GET_KEYRING_ID) of the session keyring, which may be the starter's",
        denials: CALL,
        control: When(KEYS),
        run: |_| {
            call(libc::SYS_keyctl, &[w(0), w(KEYRING_OF_SESSION), w(1)])?;
            reached("the session keyring")
        },
    },
    Primitive {
        id: "kernel.seccomp_listener",
        tries: "seccomp(NEW_LISTENER): decide system calls in place of the kernel",
        denials: BUSY,
        control: Root,
        run: |_| {
            const NEW_LISTENER: i32 = 8;
            no_new_privs()?;
            call_fd(libc::SYS_seccomp, &[w(1), w(NEW_LISTENER), ptr(&filter_of(ALLOW_ALL).program())])?;
            reached("a listener")
        },
    },
    Primitive {
        id: "kernel.seccomp_logged",
        tries: "seccomp(FLAG_LOG): a filter whose answers the kernel logs as it logs the sandbox's",
        denials: CALL,
        control: Root,
        run: |_| {
            const FLAG_LOG: i32 = 2;
            no_new_privs()?;
            call(libc::SYS_seccomp, &[w(1), w(FLAG_LOG), ptr(&filter_of(ALLOW_ALL).program())])?;
            reached("the log of refusals")
        },
    },
    Primitive {
        id: "kernel.seccomp_widen",
        tries: "add a filter that allows everything, then unshare(CLONE_NEWUTS)",
        denials: CALL,
        control: Root,
        run: |_| {
            no_new_privs()?;
            call(libc::SYS_seccomp, &[w(1), w(0), ptr(&filter_of(ALLOW_ALL).program())]).step("seccomp")?;
            call(libc::SYS_unshare, &[w(libc::CLONE_NEWUTS)]).step("unshare")?;
            reached("the later filter won")
        },
    },
];

/// `SECCOMP_RET_ALLOW` as the only instruction: code `BPF_RET`, operand in the high half.
const ALLOW_ALL: u64 = 0x06 | (0x7fff_0000 << 32);

/// One instruction that a `sock_fprog` points at.
struct Filter {
    instruction: u64,
}

fn filter_of(instruction: u64) -> Box<Filter> {
    Box::new(Filter { instruction })
}

impl Filter {
    /// `struct sock_fprog`: the number of instructions and their address.
    fn program(&self) -> [usize; 2] {
        [1, std::ptr::from_ref(&self.instruction).expose_provenance()]
    }
}

fn no_new_privs() -> Result<(), crate::outcome::Refusal> {
    call(libc::SYS_prctl, &[w(libc::PR_SET_NO_NEW_PRIVS), w(1), w(0), w(0), w(0)]).step("no_new_privs").map(drop)
}

fn bpf_program() -> Attempt {
    // mov64 r0, 0; exit
    let instructions = [0xb7u64, 0x95];
    let licence = c"GPL";
    let mut attributes = [0u64; 16];
    attributes[0] = 1 | (2 << 32);
    attributes[1] = address(std::ptr::from_ref(&instructions).expose_provenance());
    attributes[2] = address(licence.as_ptr().expose_provenance());
    call_fd(libc::SYS_bpf, &[w(5), ptr(&attributes), w(size_of_val(&attributes))])?;
    reached("a program in the kernel")
}

fn address(exposed: usize) -> u64 {
    u64::from_ne_bytes(exposed.to_ne_bytes())
}
