//! The Landlock rule set: the floor under the view, at whatever ABI the kernel has.
//!
//! What the view hides is out of reach anyway; what it shows is held here to reading, writing or executing, and
//! every refusal is written to the kernel's log.

use super::root::open_path;
use super::step::{Attempt as _, Step};
use crate::plan::Rule;
use crate::sys::kernel::landlock_abi;
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use std::io;
use std::path::Path;

/// What every agent may do in the parts of its root that are always there.
fn always(abi: ABI) -> [(&'static str, BitFlags<AccessFs>); 4] {
    let device_ioctl = BitFlags::from(AccessFs::IoctlDev) & AccessFs::from_all(abi);
    [
        ("/proc", AccessFs::ReadFile | AccessFs::ReadDir),
        ("/dev", AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile | device_ioctl),
        ("/dev/mqueue", AccessFs::MakeReg | AccessFs::RemoveFile),
        // Listing directories, which show only what the view has in them.
        ("/", AccessFs::ReadDir.into()),
    ]
}

/// Opens every rule's path; needs the rights that PID 1 is about to lose.
pub(super) fn rules(rules: &[Rule]) -> Step<RulesetCreated> {
    let abi = ABI::from(i32::try_from(landlock_abi()).unwrap_or(0));
    if abi == ABI::Unsupported {
        let missing = Err(io::Error::from_raw_os_error(libc::ENOSYS));
        return missing.attempt("use Landlock").map_err(|e| e.remedy("add landlock to the kernel's lsm= list"));
    }
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|r| if Scope::from_all(abi).is_empty() { Ok(r) } else { r.scope(Scope::from_all(abi)) })
        .and_then(Ruleset::create)
        .map_err(io::Error::other)
        .attempt("make a Landlock rule set")?;
    for (path, access) in always(abi) {
        ruleset = add(ruleset, Path::new(path), access)?;
    }
    for rule in rules {
        if rule.path.exists() {
            ruleset = add(ruleset, &rule.path, rights(rule, abi))?;
        }
    }
    Ok(ruleset)
}

fn rights(rule: &Rule, abi: ABI) -> BitFlags<AccessFs> {
    let given = |wanted: bool, rights: BitFlags<AccessFs>| if wanted { rights } else { BitFlags::EMPTY };
    given(rule.read, AccessFs::ReadFile | AccessFs::ReadDir)
        | given(rule.write, AccessFs::from_write(abi))
        | given(rule.execute, AccessFs::Execute.into())
}

fn add(ruleset: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Step<RulesetCreated> {
    if access.is_empty() {
        return Ok(ruleset);
    }
    // On a file only rights that files have; the kernel refuses the others.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V7) };
    let rule = PathBeneath::new(open_path(path)?, access);
    ruleset.add_rule(rule).map_err(io::Error::other).attempt_on("add the Landlock rule for", path)
}

/// Enters the domain. Refusals are logged also after a program has been executed.
pub(super) fn restrict(ruleset: RulesetCreated) -> Step {
    let status = ruleset
        .log_new_exec(true)
        .and_then(RulesetCreated::restrict_self)
        .map_err(io::Error::other)
        .attempt("enter the Landlock domain")?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::Error::from_raw_os_error(libc::ENOSYS)).attempt("enforce Landlock"),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}
