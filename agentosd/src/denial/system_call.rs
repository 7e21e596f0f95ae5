//! System calls by name, and what a seccomp filter's answer did to them, if it was the policy's.

use super::record::Call;
use syscalls::Sysno;

/// `AUDIT_ARCH_…` of include/uapi/linux/audit.h, and the name of the machine.
const ARCHITECTURES: [(u32, &str); 4] =
    [(0xc000_003e, "x86_64"), (0x4000_0003, "i386"), (0xc000_00b7, "aarch64"), (0x4000_0028, "arm")];
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;
/// `__X32_SYSCALL_BIT`: the same architecture, another table of calls.
const X32: u64 = 0x4000_0000;

/// The call's name, or its number where it is of another architecture or unknown.
pub(super) fn name(call: &Call) -> String {
    if call.arch != NATIVE {
        let machine = ARCHITECTURES.iter().find(|(arch, _)| *arch == call.arch);
        let machine = machine.map_or_else(|| format!("architecture {:#x}", call.arch), |(_, name)| (*name).to_owned());
        return format!("{machine} system call {}", call.number);
    }
    if is_x32(call) {
        return match known(call.number ^ X32) {
            Some(call) => format!("x32 system call {call}"),
            None => format!("x32 system call {}", call.number ^ X32),
        };
    }
    known(call.number).map_or_else(|| format!("system call {}", call.number), |call| call.name().to_owned())
}

fn is_x32(call: &Call) -> bool {
    call.arch == 0xc000_003e && call.number & X32 != 0
}

fn known(number: u64) -> Option<Sysno> {
    Sysno::new(usize::try_from(number).ok()?)
}

/// The upper half of a filter's answer, `SECCOMP_RET_ACTION_FULL` (include/uapi/linux/seccomp.h); the rest is data.
const ACTION: u32 = 0xffff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;

/// What a filter's answer did.
pub(super) fn outcome(code: u32) -> &'static str {
    match code & ACTION {
        KILL_PROCESS => "killed by seccomp (all policies)",
        _ => "system call refused by seccomp (all policies)",
    }
}

/// Whether the policy's filter gave that answer. An agent may have filters of its own, and the record does not say whose
/// it was. A refusal with an error number is recorded only for a filter that was loaded with `SECCOMP_FILTER_FLAG_LOG`,
/// which ours denies to all others; what kills is always recorded (`seccomp_log()` in kernel/seccomp.c), and ours kills
/// for the calls of another ABI and for nothing else. No other answer is ever ours.
pub(super) fn is_the_policys(code: u32, call: &Call) -> bool {
    match code & ACTION {
        ERRNO => true,
        KILL_PROCESS => call.arch != NATIVE || is_x32(call),
        _ => false,
    }
}
