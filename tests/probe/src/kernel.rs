//! What belongs to the administrator of the machine: modules, kexec, clocks, ports, names, other execution modes.
//!
//! Nothing is done that would be noticed: clocks and names are set to what they are, and modules, kexec and reboot get
//! arguments that the kernel rejects after its permission check.

use std::{arch::asm, ffi::CStr};

use libc::{EBADF, EFAULT, EINVAL, ENOENT, ENOEXEC};

use crate::{
    denials::CALL,
    outcome::{Attempt, Refusal, Step, past_the_check, reached},
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    runner::EXIT_ABSENT,
    syscall::{call, exit_now, own_pid, ptr, ptr_mut, w},
};

const X32_BIT: i64 = 0x4000_0000;
const UNKNOWN_FLAG: u64 = 1 << 40;
const MODULES: &str = "root, where the kernel has CONFIG_MODULES";
const UTS_FIELD: usize = 65;

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "kernel.init_module",
        tries: "init_module of zero bytes (ENOEXEC past the check)",
        denials: CALL,
        control: When(MODULES),
        run: |_| {
            let result = call(libc::SYS_init_module, &[w(0), w(0), w(c"")]);
            past_the_check(result, &[ENOEXEC, EINVAL, EFAULT])
        },
    },
    Primitive {
        id: "kernel.finit_module",
        tries: "finit_module of descriptor -1 (EBADF past the check)",
        denials: CALL,
        control: When(MODULES),
        run: |_| past_the_check(call(libc::SYS_finit_module, &[w(-1), w(c""), w(0)]), &[EBADF]),
    },
    Primitive {
        id: "kernel.delete_module",
        tries: "delete_module of a module that does not exist (ENOENT past the check)",
        denials: CALL,
        control: When(MODULES),
        run: |_| {
            let result = call(libc::SYS_delete_module, &[w(c"probe_no_such_module"), w(libc::O_NONBLOCK)]);
            past_the_check(result, &[ENOENT])
        },
    },
    Primitive {
        id: "kernel.kexec_load",
        tries: "kexec_load with an unknown flag (EINVAL past the check)",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_KEXEC"),
        run: |_| past_the_check(call(libc::SYS_kexec_load, &[w(0), w(0), w(0), w(UNKNOWN_FLAG)]), &[EINVAL]),
    },
    Primitive {
        id: "kernel.kexec_file_load",
        tries: "kexec_file_load with an unknown flag (EINVAL past the check)",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_KEXEC_FILE"),
        run: |_| {
            let words = [w(-1), w(-1), w(0), w(0), w(UNKNOWN_FLAG)];
            past_the_check(call(libc::SYS_kexec_file_load, &words), &[EINVAL])
        },
    },
    Primitive {
        id: "kernel.reboot",
        tries: "reboot with wrong magic numbers (EINVAL past the check)",
        denials: CALL,
        control: Root,
        run: |_| past_the_check(call(libc::SYS_reboot, &[w(0), w(0), w(0), w(0)]), &[EINVAL]),
    },
    Primitive {
        id: "kernel.clock_settime",
        tries: "clock_settime to the present time",
        denials: CALL,
        control: Root,
        run: |_| {
            let mut now = [0i64; 2];
            call(libc::SYS_clock_gettime, &[w(libc::CLOCK_REALTIME), ptr_mut(&mut now)]).step("clock_gettime")?;
            call(libc::SYS_clock_settime, &[w(libc::CLOCK_REALTIME), ptr(&now)])?;
            reached("set the host's clock")
        },
    },
    Primitive {
        id: "kernel.settimeofday",
        tries: "settimeofday to the present time",
        denials: CALL,
        control: Root,
        run: |_| {
            let mut now = [0i64; 2];
            call(libc::SYS_gettimeofday, &[ptr_mut(&mut now), w(0)]).step("gettimeofday")?;
            call(libc::SYS_settimeofday, &[ptr(&now), w(0)])?;
            reached("set the host's clock")
        },
    },
    Primitive {
        id: "kernel.adjtimex",
        tries: "adjtimex: set the length of a tick to what it is",
        denials: CALL,
        control: Root,
        run: |_| adjust(|timex| call(libc::SYS_adjtimex, &[ptr_mut(timex)])),
    },
    Primitive {
        id: "kernel.clock_adjtime",
        tries: "clock_adjtime: set the length of a tick to what it is",
        denials: CALL,
        control: Root,
        run: |_| adjust(|timex| call(libc::SYS_clock_adjtime, &[w(libc::CLOCK_REALTIME), ptr_mut(timex)])),
    },
    Primitive {
        id: "kernel.acct",
        tries: "acct into a file that does not exist (ENOENT past the check)",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_BSD_PROCESS_ACCT"),
        run: |_| past_the_check(call(libc::SYS_acct, &[w(c"/probe-no-such-file")]), &[ENOENT]),
    },
    Primitive {
        id: "kernel.iopl",
        tries: "iopl(3): every I/O port",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_X86_IOPL_IOPERM"),
        run: |_| {
            call(libc::SYS_iopl, &[w(3)])?;
            reached("every I/O port")
        },
    },
    Primitive {
        id: "kernel.ioperm",
        tries: "ioperm(0x80): one I/O port",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_X86_IOPL_IOPERM"),
        run: |_| {
            call(libc::SYS_ioperm, &[w(0x80), w(1), w(1)])?;
            reached("an I/O port")
        },
    },
    Primitive {
        id: "kernel.syslog",
        tries: "syslog(READ_ALL): the last bytes of the kernel's log",
        denials: CALL,
        control: Root,
        run: |_| {
            call(libc::SYS_syslog, &[w(3), ptr_mut(&mut [0u8; 8]), w(8)])?;
            reached("read the kernel's log")
        },
    },
    Primitive {
        id: "kernel.sethostname",
        tries: "sethostname to the present name",
        denials: CALL,
        control: Root,
        run: |_| set_name(libc::SYS_sethostname, 1),
    },
    Primitive {
        id: "kernel.setdomainname",
        tries: "setdomainname to the present name",
        denials: CALL,
        control: Root,
        run: |_| set_name(libc::SYS_setdomainname, 5),
    },
    Primitive {
        id: "kernel.vhangup",
        tries: "vhangup in a session without a terminal",
        denials: CALL,
        control: Root,
        run: |_| {
            // As a control this must not hang up the terminal that the test was started from.
            call(libc::SYS_setsid, &[]).step("setsid")?;
            call(libc::SYS_vhangup, &[])?;
            reached("could hang up a terminal")
        },
    },
    Primitive {
        id: "kernel.lookup_dcookie",
        tries: "lookup_dcookie(0) (EINVAL past the check)",
        denials: CALL,
        control: When("never since Linux 6.7, which removed the call (ENOSYS)"),
        run: |_| past_the_check(call(212, &[w(0), w(0), w(0)]), &[EINVAL]),
    },
    Primitive {
        id: "kernel.modify_ldt",
        tries: "modify_ldt: read its own segment table",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_MODIFY_LDT_SYSCALL"),
        run: |_| {
            call(libc::SYS_modify_ldt, &[w(0), ptr_mut(&mut [0u64; 2]), w(16)])?;
            reached("the call answers")
        },
    },
    Primitive {
        id: "kernel.personality_read_implies_exec",
        tries: "personality(READ_IMPLIES_EXEC)",
        denials: CALL,
        control: Root,
        run: |_| personality(libc::READ_IMPLIES_EXEC, 0),
    },
    Primitive {
        id: "kernel.personality_no_randomize",
        tries: "personality(ADDR_NO_RANDOMIZE)",
        denials: CALL,
        control: Root,
        run: |_| personality(libc::ADDR_NO_RANDOMIZE, 0),
    },
    Primitive {
        id: "kernel.personality_high_bits",
        tries: "personality(ADDR_NO_RANDOMIZE) with rubbish in the high half",
        denials: CALL,
        control: Root,
        run: |_| personality(libc::ADDR_NO_RANDOMIZE, 0xdead_beef << 32),
    },
    Primitive {
        id: "kernel.x32",
        tries: "getpid by its x32 number",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_X86_X32_ABI"),
        run: |_| {
            let pid = call(libc::SYS_getpid | X32_BIT, &[])?;
            if pid == i64::from(own_pid()) { reached("x32 calls work") } else { Err(Refusal::Denied(pid.to_string())) }
        },
    },
    Primitive {
        id: "kernel.int80",
        tries: "getpid by int 0x80, the 32-bit entry",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_IA32_EMULATION; elsewhere absent"),
        run: |_| int80(),
    },
];

/// Reads `struct timex`, then writes back the tick alone.
fn adjust(adjtime: impl Fn(&mut [u64; 26]) -> std::io::Result<i64>) -> Attempt {
    const ADJ_TICK: u64 = 0x4000;
    let mut timex = [0u64; 26];
    adjtime(&mut timex).step("read")?;
    timex[0] = ADJ_TICK;
    adjtime(&mut timex)?;
    reached("set the speed of the host's clock")
}

/// Sets the `field`th name of `struct utsname` to what it is.
fn set_name(number: i64, field: usize) -> Attempt {
    let mut names = [0u8; 6 * UTS_FIELD];
    call(libc::SYS_uname, &[ptr_mut(&mut names)]).step("uname")?;
    let name = CStr::from_bytes_until_nul(&names[field * UTS_FIELD..]).map_err(|e| Refusal::Error(e.to_string()))?;
    call(number, &[w(name), w(name.count_bytes())])?;
    reached("set")
}

fn personality(flag: i32, rubbish: u64) -> Attempt {
    call(libc::SYS_personality, &[w(u64::from(flag.cast_unsigned()) | rubbish)])?;
    let now = call(libc::SYS_personality, &[w(u32::MAX)]).step("read")?;
    if now & i64::from(flag) == 0 {
        return Err(Refusal::Denied("the call succeeded without effect".into()));
    }
    reached("set")
}

extern "C" fn no_such_gate(_signal: i32) {
    exit_now(EXIT_ABSENT);
}

fn int80() -> Attempt {
    let handler = no_such_gate as extern "C" fn(i32);
    // SAFETY: the handler only calls `_exit`, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGSEGV, handler as usize) };
    let mut result: i64 = 20;
    // SAFETY: number 20 of the 32-bit table is getpid, which takes no argument; the entry may clobber r8 to r11.
    unsafe {
        asm!("int 0x80", inlateout("rax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if result == i64::from(own_pid()) {
        return reached("32-bit calls work");
    }
    Err(Refusal::Errno(i32::try_from(-result).unwrap_or(0), String::new()))
}
