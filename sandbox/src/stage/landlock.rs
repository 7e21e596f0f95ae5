//! The Landlock rule set: the floor under the view, at whatever ABI the kernel has.
//!
//! What the view hides is out of reach anyway; what it shows is held here to reading, writing or executing, and
//! every refusal is written to the kernel's log.

use super::parts::{EXECUTABLE, READABLE, WRITABLE};
use super::root::open_path;
use super::step::{Attempt as _, Step};
use crate::plan::Rule;
use crate::sys::kernel::landlock_abi;
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, lstat, openat2};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What every agent may do in the parts of its root that are always there.
fn always(abi: ABI) -> [(&'static str, BitFlags<AccessFs>); 7] {
    let device_ioctl = BitFlags::from(AccessFs::IoctlDev) & AccessFs::from_all(abi);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    [
        ("/proc", read),
        ("/dev", read | AccessFs::WriteFile | device_ioctl),
        ("/dev/mqueue", AccessFs::MakeReg | AccessFs::RemoveFile),
        // Above what is mounted there, so that they hold for what is mounted later too.
        (WRITABLE, read | AccessFs::from_write(abi)),
        (READABLE, read),
        (EXECUTABLE, read | AccessFs::Execute),
        // Listing directories, which show only what the view has in them.
        ("/", AccessFs::ReadDir.into()),
    ]
}

/// A rule set to which rules can still be added.
#[derive(Debug)]
pub(super) struct Rules {
    ruleset: RulesetCreated,
    abi: ABI,
    added: Vec<Rule>,
}

impl Rules {
    /// With what every agent may do and `rules`. Opens their paths, which needs the rights that PID 1 is about to lose.
    pub(super) fn new(rules: &[Rule]) -> Step<Self> {
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
            ruleset = add(ruleset, Path::new(path), open_path(Path::new(path))?, access)?;
        }
        Self { ruleset, abi, added: Vec::new() }.with(rules)
    }

    /// Adds rules; one whose path does not exist inside now may be added later.
    fn with(mut self, rules: &[Rule]) -> Step<Self> {
        for rule in rules {
            if let Some(place) = open_rule(&rule.path)? {
                self.ruleset = add(self.ruleset, &rule.path, place, rights(rule, self.abi))?;
                self.added.push(rule.clone());
            }
        }
        Ok(self)
    }

    /// The rule set of exactly `rules`: what was `prepared` of it is taken over, unless it gives more.
    pub(super) fn of(prepared: Option<Self>, rules: &[Rule]) -> Step<RulesetCreated> {
        let complete = match prepared.filter(|prepared| prepared.added.iter().all(|added| is_within(added, rules))) {
            Some(prepared) => {
                // The kernel gives what the rules for one file give together (`insert_rule()` in security/landlock).
                let rest: Vec<_> = rules.iter().filter(|rule| !prepared.added.contains(rule)).cloned().collect();
                prepared.with(&rest)?
            }
            None => Self::new(rules)?,
        };
        Ok(complete.ruleset)
    }
}

/// Whether one of `rules` gives all that `added` does.
fn is_within(added: &Rule, rules: &[Rule]) -> bool {
    let gives =
        |rule: &Rule| (rule.read || !added.read) && (rule.write || !added.write) && (rule.execute || !added.execute);
    rules.iter().any(|rule| rule.path == added.path && gives(rule))
}

fn rights(rule: &Rule, abi: ABI) -> BitFlags<AccessFs> {
    let given = |wanted: bool, rights: BitFlags<AccessFs>| if wanted { rights } else { BitFlags::EMPTY };
    given(rule.read, AccessFs::ReadFile | AccessFs::ReadDir)
        | given(rule.write, AccessFs::from_write(abi))
        | given(rule.execute, AccessFs::Execute.into())
}

/// Opens what a rule is about, or nothing when it does not exist inside. Links are followed only where we made them, in
/// the root: in a workspace another agent may be swapping one in and out, and a rule must not land on its target.
fn open_rule(path: &Path) -> Step<Option<OwnedFd>> {
    match openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::LOOP) => {
            let ours = |path: &Path| lstat(path).map(|stat| stat.st_dev).attempt_on("look at", path);
            if ours(path)? == ours(Path::new("/"))? && path.exists() { open_path(path).map(Some) } else { Ok(None) }
        }
        Err(error) => Err(error).attempt_on("open", path),
    }
}

fn add(ruleset: RulesetCreated, path: &Path, place: OwnedFd, access: BitFlags<AccessFs>) -> Step<RulesetCreated> {
    let kind = fstat(&place).map(|stat| FileType::from_raw_mode(stat.st_mode)).attempt_on("look at", path)?;
    // On a file only rights that files have; the kernel refuses the others.
    let access = if kind == FileType::Directory { access } else { access & AccessFs::from_file(ABI::V7) };
    if access.is_empty() {
        return Ok(ruleset);
    }
    let rule = PathBeneath::new(place, access);
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
