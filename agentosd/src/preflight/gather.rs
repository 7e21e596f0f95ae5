//! Reads and tries. Nothing here decides, and nothing stays behind.

use super::Given;
use super::facts::{Facts, Groups, Namespace, Uids};
use landlock::{
    AccessFs, AccessNet, CompatLevel, Compatible as _, RestrictSelf, RestrictSelfAttr as _, Ruleset, RulesetAttr as _,
    Scope,
};
use rustix::mount::{FsOpenFlags, fsconfig_set_string, fsopen};
use rustix::process::{PidfdFlags, geteuid, getpid, pidfd_open};
use sandbox::cgroup::{ControllerSource, Hierarchies};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

/// The kernel's door to a FUSE server.
const DEVICE: &str = "/dev/fuse";
/// The namespaces that an agent gets, and their limit's name.
const NAMESPACES: [(&str, &str); 7] = [
    ("mnt", "mnt"),
    ("pid", "pid"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("net", "net"),
    ("cgroup", "cgroup"),
    ("user", "user"),
];

pub(super) fn gather(given: &Given<'_>) -> Facts {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Facts {
        version: version(&release),
        landlock: landlock_abi(),
        seccomp_actions: words("/proc/sys/kernel/seccomp/actions_avail"),
        seccomp_logged: words("/proc/sys/kernel/seccomp/actions_logged"),
        namespaces: NAMESPACES.map(namespace).into(),
        cgroups: given.cgroups.map(groups).map_err(|error| error.to_string()),
        file_systems: vec![
            ("proc subset=pid", make("proc", Some(("subset", "pid")))),
            ("tmpfs", make("tmpfs", None)),
            ("devpts", make("devpts", None)),
        ],
        fuse: fuse(),
        fuse_passthrough: fuse_passthrough(&release),
        fuse_passthrough_optional: !given.fuse_passthrough,
        pidfd: pidfd_open(getpid(), PidfdFlags::empty()).is_ok(),
        memfd_noexec: memfd_noexec(),
        denial_log: given.denial_log.map_err(ToString::to_string),
        panics_on_lost_record: crate::denial::panics_on_lost_record(),
        uid: geteuid().as_raw(),
        capabilities: capabilities(&read("/proc/self/status")),
        release: release.clone(),
        uids: uids(&given.uids, &read("/etc/passwd"), &read("/etc/subuid")),
    }
}

/// A file of the kernel's; one that is not there says nothing, and the judge finds it lacking.
fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn words(path: &str) -> BTreeSet<String> {
    read(path).split_whitespace().map(str::to_owned).collect()
}

pub(super) fn memfd_noexec() -> bool {
    Path::new("/proc/sys/vm/memfd_noexec").exists()
}

/// The leading two numbers of a release such as `6.18.4-arch1`.
pub(super) fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// What the kernel handles, by asking for what each ABI brought; the rule sets are never enforced.
pub(super) fn landlock_abi() -> u32 {
    let rules = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let itself = || RestrictSelf::default().set_compatibility(CompatLevel::HardRequirement);
    let brought: [&dyn Fn() -> bool; 8] = [
        &|| rules().handle_access(AccessFs::ReadFile).is_ok(),
        &|| rules().handle_access(AccessFs::Refer).is_ok(),
        &|| rules().handle_access(AccessFs::Truncate).is_ok(),
        &|| rules().handle_access(AccessNet::ConnectTcp).is_ok(),
        &|| rules().handle_access(AccessFs::IoctlDev).is_ok(),
        &|| rules().scope(Scope::Signal).is_ok(),
        &|| itself().log_subdomains(false).is_ok(),
        &|| itself().all_threads(true).is_ok(),
    ];
    (1..).zip(brought).take_while(|(_, there)| there()).map(|(abi, _)| abi).last().unwrap_or(0)
}

fn namespace((name, limit): (&'static str, &str)) -> Namespace {
    let most = read(format!("/proc/sys/user/max_{limit}_namespaces")).trim().parse().ok();
    Namespace { name, present: Path::new("/proc/self/ns").join(name).exists(), most }
}

fn groups(hierarchies: &Hierarchies) -> Groups {
    let unified = hierarchies.unified.display().to_string();
    let place = |source: &ControllerSource| match source {
        ControllerSource::Version2 => Some(format!("version 2 at {unified}")),
        ControllerSource::Version1(directory) => Some(format!("version 1 at {}", directory.display())),
        ControllerSource::Absent => None,
    };
    let swap_counted = match &hierarchies.memory {
        ControllerSource::Version1(directory) => directory.join("memory.memsw.limit_in_bytes").exists(),
        ControllerSource::Version2 => hierarchies.unified.join("memory.swap.max").exists(),
        ControllerSource::Absent => false,
    };
    Groups {
        memory: place(&hierarchies.memory),
        pids: place(&hierarchies.pids),
        cpu: place(&hierarchies.cpu),
        swap: read("/proc/swaps").lines().count() > 1,
        swap_counted,
        unified,
    }
}

/// Opens a file system's context and sets an option; without a mount it is gone when the descriptor closes.
fn make(name: &str, option: Option<(&str, &str)>) -> Result<(), String> {
    let attempt = || -> io::Result<()> {
        let context = fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC)?;
        if let Some((key, value)) = option {
            fsconfig_set_string(&context, key, value)?;
        }
        Ok(())
    };
    attempt().map_err(|error| error.to_string())
}

/// The device and the file system, as a mount needs them.
fn fuse() -> Result<(), String> {
    let device = fs::OpenOptions::new().read(true).write(true).open(DEVICE);
    device.map_err(|error| format!("{DEVICE}: {error}"))?;
    make("fuse", None)
}

/// Linux 6.9 brought it. Whether this one was built with it stands in the file that distributions put beside it.
fn fuse_passthrough(release: &str) -> bool {
    let configuration = read(format!("/boot/config-{release}"));
    version(release) >= (6, 9) && !configuration.contains("# CONFIG_FUSE_PASSTHROUGH is not set")
}

/// The effective set in `/proc/PID/status`.
pub(super) fn capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
}

/// Who of passwd(5) and subuid(5) is in the range.
pub(super) fn uids(range: &Range<u32>, passwd: &str, subuid: &str) -> Uids {
    let field = |line: &str, index: usize| line.split(':').nth(index).and_then(|text| text.trim().parse::<u32>().ok());
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let inside = |line: &&str| field(line, 2).is_some_and(|uid| range.contains(&uid));
    let overlaps = |line: &&str| {
        let (Some(first), Some(count)) = (field(line, 1), field(line, 2)) else { return false };
        first < range.end && first.saturating_add(count) > range.start
    };
    Uids {
        range: range.clone(),
        users: passwd.lines().filter(inside).map(name).collect(),
        subordinate: subuid.lines().filter(overlaps).map(name).collect(),
    }
}
