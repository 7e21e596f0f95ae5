//! The agent's system call filters, compiled once by each stage before the agent's plan is known.
//!
//! Two programs are loaded, and the kernel takes the stricter answer of the two:
//!
//! ```text
//!   logged:  nr >= x32 bit → kill │ other architecture → kill │ on the list (with its arguments) → allow │ else EPERM
//!   quiet:   clone3, openat2, io_uring, newer than this list → ENOSYS │ else allow
//! ```
//! ENOSYS is what a kernel without the call answers, and programs then take the older call, whose arguments can be
//! filtered. Of two equal answers the kernel takes the filter loaded last (`seccomp_run_filters()`), so loading `quiet`
//! last keeps these everyday fallbacks out of the denial log.

mod arguments;
mod list;

use crate::sys::seccomp::{Logging, load};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};
use std::collections::BTreeMap;
use std::io;
use syscalls::Sysno;

/// The compiled filters of one agent.
#[derive(Debug)]
pub(crate) struct Filters {
    logged: BpfProgram,
    quiet: BpfProgram,
}

/// The list cannot be made into a program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    /// The compiler refused it.
    #[error("compile the system call filter")]
    Compile(#[from] BackendError),
}

/// A condition on one argument, by its low 32 bits or all 64.
#[derive(Clone, Debug)]
enum Test {
    /// `argument & mask == value`, 64 bits.
    Masked { index: u8, mask: u64, value: u64 },
    /// The low 32 bits are this number; the kernel ignores the rest of an `int` argument, and so must the filter.
    Is { index: u8, value: u64 },
}

impl Test {
    fn condition(&self) -> Result<SeccompCondition, BackendError> {
        match *self {
            Self::Masked { index, mask, value } => {
                SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), value)
            }
            Self::Is { index, value } => SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value),
        }
    }
}

/// Ways in which a call is allowed: each is a set of tests that must all hold.
type Ways = Vec<Vec<Test>>;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

impl Filters {
    /// Compiles the list.
    ///
    /// # Errors
    /// [`FilterError`] when the list is not compilable, which is a defect of ours and stops every start.
    pub(crate) fn compile() -> Result<Self, FilterError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        for call in list::ALLOWED.iter().flat_map(|group| group.calls) {
            rules.insert(number(*call), Vec::new());
        }
        for (call, ways) in arguments::filtered() {
            let compiled =
                ways.iter().map(|tests| SeccompRule::new(tests.iter().map(Test::condition).collect::<Result<_, _>>()?));
            rules.insert(number(call), compiled.collect::<Result<_, BackendError>>()?);
        }
        let filter = SeccompFilter::new(rules, SeccompAction::Errno(EPERM), SeccompAction::Allow, TargetArch::x86_64)?;
        let mut logged = kill_x32();
        logged.extend(BpfProgram::try_from(filter)?);
        Ok(Self { logged, quiet: quiet() })
    }

    /// Loads both for this process and all that it starts. Needs no_new_privs.
    ///
    /// # Errors
    /// As `seccomp(2)`.
    pub(crate) fn load(&self) -> io::Result<()> {
        load(&self.logged, Logging::Logged)?;
        load(&self.quiet, Logging::Quiet)
    }
}

fn number(call: Sysno) -> i64 {
    i64::from(call.id())
}

/// Offset of the number in `struct seccomp_data` (linux/seccomp.h).
const NUMBER_OFFSET: u32 = 0;
/// `__X32_SYSCALL_BIT`: calls of the x32 ABI come with the same architecture as 64-bit ones.
const X32_BIT: u32 = 0x4000_0000;

/// In front of the list, whose compiler knows the architecture and not this bit.
fn kill_x32() -> BpfProgram {
    vec![
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, NUMBER_OFFSET),
        jump(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, X32_BIT, 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, u32::from(SeccompAction::KillProcess)),
    ]
}

fn quiet() -> BpfProgram {
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, NUMBER_OFFSET)];
    let absent = u32::from(SeccompAction::Errno(ENOSYS));
    for call in list::ABSENT {
        program.push(jump(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call.id().unsigned_abs(), 0, 1));
        program.push(statement(libc::BPF_RET | libc::BPF_K, absent));
    }
    program.push(jump(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, list::NEWEST.id().unsigned_abs(), 0, 1));
    program.push(statement(libc::BPF_RET | libc::BPF_K, absent));
    program.push(statement(libc::BPF_RET | libc::BPF_K, u32::from(SeccompAction::Allow)));
    program
}

fn statement(code: u32, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let code = u16::try_from(code).unwrap_or_default();
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests;
