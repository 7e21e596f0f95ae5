//! The ritual in which PID 1 takes every power from itself. What it starts afterwards has none either.

use super::landlock::{self, Rules};
use super::root::open_path;
use super::step::{Attempt as _, Step};
use crate::plan::{Plan, Rlimits};
use crate::seccomp::Filters;
use crate::sys::mount::{Attributes, set_attributes};
use crate::sys::signal::die_with_parent;
use caps::{CapSet, Capability};
use rustix::process::{DumpableBehavior, Gid, Resource, Rlimit, Uid, setrlimit};
use rustix::thread::{
    CapabilitiesSecureBits, set_capabilities_secure_bits, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

/// Takes away what no plan can give back, while PID 1 is still a spare: the ambient and bounding sets, and with locked
/// securebits every way to a capability that it does not hold already. What it holds it needs for the view.
pub(super) fn confine_early() -> Step {
    empty(CapSet::Ambient)?;
    empty(CapSet::Bounding)?;
    lock_securebits()
}

/// Confines PID 1. Each line's place has a reason:
/// the host name, the read-only root and the rule set need privilege; the bounding set and the securebits are gone since
/// [`confine_early`]; the change of uid ends privilege and must be the last thing that needs it; no_new_privs lets an
/// unprivileged process load Landlock and seccomp, and Landlock comes before seccomp because the filter is the one thing
/// that cannot be taken back or looked behind. One capability is held until then: without it, an agent that fills the
/// host's memory for compiled filters would keep every other one from being started.
pub(super) fn confine(plan: &Plan, prepared: Option<Rules>, filters: &Filters) -> Step {
    nix::unistd::sethostname(&plan.hostname).map_err(io::Error::from).attempt("set the host name")?;
    make_root_read_only()?;
    limit(plan.rlimits)?;
    let rules = Rules::of(prepared, &plan.rules)?;
    close_all_on_exec()?;
    set_thread_groups(&[]).attempt("drop the supplementary groups")?;
    change_identity(plan)?;
    keep_only(Capability::CAP_BPF)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).attempt("make PID 1 undumpable")?;
    die_with_parent().attempt("tie PID 1 to its parent")?;
    set_no_new_privs(true).attempt("set no_new_privs")?;
    landlock::restrict(rules)?;
    filters.load(plan.calls).attempt("load the system call filter")?;
    empty(CapSet::Permitted)
}

fn make_root_read_only() -> Step {
    let root = open_path(Path::new("/"))?;
    let attributes = Attributes { read_only: true, no_dev: true, no_exec: true, ..Attributes::default() };
    set_attributes(root.as_fd(), &attributes).attempt("make the root read-only")
}

fn limit(limits: Rlimits) -> Step {
    let none = Some(0);
    let values = [
        (Resource::Nofile, Some(limits.files)),
        (Resource::Fsize, limits.file_size),
        // A core dump would leave the agent's memory in files that outlive it. One byte and not none: below the smallest
        // core file, and the one value at which the kernel does not start the host's core handler either (core(5)).
        (Resource::Core, Some(1)),
        // No real-time scheduling and no priority above the default: an agent could starve the host's processors.
        (Resource::Rtprio, none),
        (Resource::Nice, none),
        // Locked pages count against the memory limit and cannot be reclaimed; 8 MiB is the distribution's default.
        (Resource::Memlock, Some(8 << 20)),
    ];
    for (resource, value) in values {
        setrlimit(resource, Rlimit { current: value, maximum: value }).attempt("set a resource limit")?;
    }
    Ok(())
}

/// Descriptors of PID 1 must not reach what it starts. Marked and not closed, because the Rust runtime owns some of them;
/// the child's `execve(2)` closes them. What is opened later is opened close-on-exec.
fn close_all_on_exec() -> Step {
    crate::sys::kernel::close_on_exec_from(0).attempt("mark descriptors close-on-exec")
}

fn keep_only(capability: Capability) -> Step {
    let one = [capability].into();
    empty(CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &one).map_err(io::Error::other).attempt("drop the capabilities")?;
    caps::set(None, CapSet::Permitted, &one).map_err(io::Error::other).attempt("drop the capabilities")
}

fn empty(set: CapSet) -> Step {
    caps::clear(None, set).map_err(io::Error::other).attempt("empty a capability set")
}

/// Uid 0 means nothing any more, also for a program that finds a way to it; and none of this can be undone.
fn lock_securebits() -> Step {
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(bits).attempt("lock the securebits")
}

/// Real and effective uid are PID 1's own; the saved one is the agent's, so that a child can become the agent without
/// any capability. The saved uid lets the agent name PID 1 in `kill(2)`, and the kernel drops what a process of its own
/// namespace sends to an init that handles nothing (`SIGNAL_UNKILLABLE`).
fn change_identity(plan: &Plan) -> Step {
    let (uid, gid) = (Uid::from_raw, Gid::from_raw);
    set_thread_res_gid(gid(plan.init.gid), gid(plan.init.gid), gid(plan.agent.gid)).attempt("change the group")?;
    set_thread_res_uid(uid(plan.init.uid), uid(plan.init.uid), uid(plan.agent.uid)).attempt("change the user")
}
