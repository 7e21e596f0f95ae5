//! The agent's system call filters, compiled once by each stage before the agent's plan is known.
//!
//! Two programs are loaded, and the kernel takes the stricter answer of the two:
//!
//! ```text
//!   logged:  other architecture, x32 → kill │ on the list → allow │ with arguments that are fine → allow │ else EPERM
//!   quiet:   other architecture, x32 → kill │ clone3, openat2, io_uring, newer than the list → ENOSYS │ else allow
//! ```
//! ENOSYS is what a kernel without the call answers, and programs then take the older call, whose arguments can be
//! filtered. Of two equal answers the kernel takes the filter loaded last (`seccomp_run_filters()`), so loading `quiet`
//! last keeps these everyday fallbacks out of the denial log.

mod arguments;
mod assemble;
mod list;

use crate::plan::Calls;
use crate::sys::seccomp::{Logging, load};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
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
    /// The low 32 bits are another number.
    IsNot { index: u8, value: u64 },
    /// `argument <= value`, 64 bits.
    AtMost { index: u8, value: u64 },
}

impl Test {
    fn condition(&self) -> Result<SeccompCondition, BackendError> {
        match *self {
            Self::Masked { index, mask, value } => {
                // Half the instructions when no bit of the high half matters.
                let low = u32::try_from(mask).is_ok();
                let length = if low { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
                SeccompCondition::new(index, length, SeccompCmpOp::MaskedEq(mask), value)
            }
            Self::Is { index, value } => SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value),
            Self::IsNot { index, value } => {
                SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
            }
            Self::AtMost { index, value } => {
                SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::Le, value)
            }
        }
    }
}

/// Ways in which a call is allowed: each is a set of tests that must all hold.
type Ways = Vec<Vec<Test>>;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

impl Filters {
    /// Compiles what every agent gets.
    ///
    /// # Errors
    /// [`FilterError`] when the list is not compilable, which is a defect of ours and stops every start.
    pub(crate) fn compile() -> Result<Self, FilterError> {
        Self::compile_for(Calls::Agent)
    }

    fn compile_for(calls: Calls) -> Result<Self, FilterError> {
        let more: &[Sysno] = if calls == Calls::Helper { list::HELPERS } else { &[] };
        let allowed = list::ALLOWED.iter().flat_map(|group| group.calls).chain(more);
        let allowed: Vec<u32> = allowed.map(|call| number(*call)).collect();
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        for (call, ways) in arguments::filtered() {
            let compiled =
                ways.iter().map(|tests| SeccompRule::new(tests.iter().map(Test::condition).collect::<Result<_, _>>()?));
            rules.insert(i64::from(number(call)), compiled.collect::<Result<_, BackendError>>()?);
        }
        let filter = SeccompFilter::new(rules, SeccompAction::Errno(EPERM), SeccompAction::Allow, TargetArch::x86_64)?;
        let mut logged = assemble::head(&allowed, SeccompAction::Allow);
        for (call, index, values) in arguments::BY_ONE {
            let answers = (SeccompAction::Allow, SeccompAction::Errno(EPERM));
            logged.extend(assemble::by_argument(number(call), index, values, answers));
        }
        logged.extend(BpfProgram::try_from(filter)?);
        Ok(Self { logged, quiet: quiet(more) })
    }

    /// Loads both for this process and all that it starts; what is not usual is compiled here. Needs no_new_privs, and CAP_BPF so as not to depend on what
    /// others leave of the memory for compiled filters (`bpf_jit_charge_modmem()`).
    ///
    /// # Errors
    /// As `seccomp(2)`.
    pub(crate) fn load(&self, calls: Calls) -> io::Result<()> {
        if calls == Calls::Helper {
            return Self::compile_for(calls).map_err(io::Error::other)?.load(Calls::Agent);
        }
        load(&self.logged, Logging::Logged)?;
        load(&self.quiet, Logging::Quiet)
    }
}

fn quiet(except: &[Sysno]) -> BpfProgram {
    let absent = list::ABSENT.iter().filter(|call| !except.contains(call));
    let absent: Vec<u32> = absent.map(|call| number(*call)).collect();
    let mut program = assemble::head(&absent, SeccompAction::Errno(ENOSYS));
    program.extend(assemble::answer_from(number(list::NEWEST) + 1, SeccompAction::Errno(ENOSYS)));
    program.push(assemble::otherwise(SeccompAction::Allow));
    program
}

fn number(call: Sysno) -> u32 {
    call.id().unsigned_abs()
}

#[cfg(test)]
mod tests;
