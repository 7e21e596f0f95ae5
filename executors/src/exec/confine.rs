//! The Landlock layer of a program that is run: what it may execute. What it may read and write was settled before.

use super::format::Chain;
use super::lookup::Found;
use crate::refusal::{Outcome, Refusal};
use landlock::{
    AccessFs, CompatLevel, Compatible as _, PathBeneath, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus,
};
use protocol::action::RefusalReason;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use syscalls::Sysno;

/// From here on nothing can be executed but the program, what the kernel starts for it, and `others`: files, or directories
/// with all that is in them. One that does not exist is none.
pub(super) fn only_execute(program: &Found, chain: &Chain, others: &[String]) -> Outcome<()> {
    let others = others.iter().filter_map(|path| open(path).transpose()).collect::<Outcome<Vec<_>>>()?;
    let own = std::iter::once(program).chain(&chain.interpreters).chain(&chain.loader).map(|found| found.file.as_fd());
    let missing = |why: &str| {
        Refusal::new(RefusalReason::NotAvailable, format!("Landlock cannot hold it to what it may execute: {why}"))
    };
    match restrict(own.chain(others.iter().map(|file| file.as_fd()))) {
        Ok(RulesetStatus::FullyEnforced) => Ok(()),
        Ok(_) => Err(missing("this kernel does not enforce it")),
        Err(error) => Err(missing(&error.to_string())),
    }
}

/// `openat2(2)` does not exist for the program, as for every agent: its mode lies where no filter sees it. Nothing of ours is
/// opened after this.
pub(super) fn without_openat2() -> Outcome<()> {
    let failed = |error: &dyn std::error::Error| {
        Refusal::new(RefusalReason::NotAvailable, format!("its system calls cannot be filtered: {error}"))
    };
    let rules = [(i64::from(Sysno::openat2.id()), Vec::new())].into();
    let enosys = u32::try_from(Errno::NOSYS.raw_os_error()).unwrap_or_default();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(enosys), TargetArch::x86_64);
    let program = filter.and_then(BpfProgram::try_from).map_err(|error| failed(&error))?;
    seccompiler::apply_filter(&program).map_err(|error| failed(&error))
}

fn restrict<'a>(executables: impl Iterator<Item = BorrowedFd<'a>>) -> Result<RulesetStatus, RulesetError> {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let mut ruleset = ruleset.handle_access(AccessFs::Execute)?.create()?;
    for file in executables {
        ruleset = ruleset.add_rule(PathBeneath::new(file, AccessFs::Execute))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

fn open(path: &str) -> Outcome<Option<OwnedFd>> {
    match openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Refusal::errno(errno, &format!("open executable {path:?}"))),
    }
}
