//! System calls by name, and what a seccomp filter's answer did to them.

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
    if NATIVE == 0xc000_003e && call.number & X32 != 0 {
        return match known(call.number ^ X32) {
            Some(call) => format!("x32 system call {call}"),
            None => format!("x32 system call {}", call.number ^ X32),
        };
    }
    known(call.number).map_or_else(|| format!("system call {}", call.number), |call| call.name().to_owned())
}

fn known(number: u64) -> Option<Sysno> {
    Sysno::new(usize::try_from(number).ok()?)
}

/// What a filter's answer did (`SECCOMP_RET_…`, include/uapi/linux/seccomp.h); the low half is data.
pub(super) fn outcome(code: u32) -> &'static str {
    match code & 0xffff_0000 {
        0x8000_0000 => "killed by seccomp (all policies)",
        0x0000_0000 => "thread killed by seccomp (all policies)",
        0x0003_0000 => "system call refused with a signal by seccomp (all policies)",
        _ => "system call refused by seccomp (all policies)",
    }
}

/// Whether that answer let the call through, or asked somebody else.
pub(super) fn let_through(code: u32) -> bool {
    // LOG, ALLOW, TRACE and USER_NOTIF.
    matches!(code & 0xffff_0000, 0x7ffc_0000 | 0x7fff_0000 | 0x7ff0_0000 | 0x7fc0_0000)
}
