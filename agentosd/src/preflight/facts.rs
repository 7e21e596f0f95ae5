//! What was found, as plain data.

use std::collections::BTreeSet;

/// Everything that [`super::judge`] looks at.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// `6.18.4`, and as numbers.
    pub release: String,
    pub version: (u32, u32),
    /// The Landlock ABI; 0 is none.
    pub landlock: u32,
    /// What a seccomp filter can answer, and which answers the host lets the kernel log.
    pub seccomp_actions: BTreeSet<String>,
    pub seccomp_logged: BTreeSet<String>,
    /// `None` where the host gives no number.
    pub namespaces: Vec<Namespace>,
    pub cgroups: Result<Groups, String>,
    /// Whether the file system can be made: `proc` with `subset=pid`, `tmpfs`, `devpts`; else why not.
    pub file_systems: Vec<(&'static str, Result<(), String>)>,
    /// A FUSE file system can be made, else why not.
    pub fuse: Result<(), String>,
    /// The kernel was built with FUSE passthrough, as far as can be seen.
    pub fuse_passthrough: bool,
    /// The operator can do without.
    pub fuse_passthrough_optional: bool,
    pub pidfd: bool,
    pub memfd_noexec: bool,
    pub denial_log: Result<(), String>,
    /// A lost audit record panics this kernel.
    pub panics_on_lost_record: bool,
    /// Effective uid, and capabilities as the bits of `CapEff`.
    pub uid: u32,
    pub capabilities: u64,
    pub uids: Uids,
}

/// A kind of namespace.
#[derive(Clone, Debug)]
pub(super) struct Namespace {
    pub name: &'static str,
    pub present: bool,
    /// `/proc/sys/user/max_…_namespaces`.
    pub most: Option<u64>,
}

/// Where the controllers are.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    pub unified: String,
    /// In words; `None` is nowhere.
    pub memory: Option<String>,
    pub pids: Option<String>,
    pub cpu: Option<String>,
    /// The host has swap.
    pub swap: bool,
    /// Swap counts against a limit.
    pub swap_counted: bool,
}

/// The range of agents' uids, and who else is in it.
#[derive(Clone, Debug)]
pub(super) struct Uids {
    pub range: std::ops::Range<u32>,
    /// Names in /etc/passwd.
    pub users: Vec<String>,
    /// Names in /etc/subuid whose ranges overlap.
    pub subordinate: Vec<String>,
}
