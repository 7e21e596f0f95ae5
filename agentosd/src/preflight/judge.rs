//! From facts to checks. Pure: the same facts give the same table.

use super::facts::{Facts, Groups};
use policies::KernelLayer;
use protocol::doctor::{Check, Status};

const EVERY: &str = "every agent";
const DENIALS: &str = "agentctl denials";

/// One check for each layer, in the order in which a start uses them.
pub(super) fn judge(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![kernel(facts), root(facts), namespaces(facts)];
    checks.extend(control_groups(facts));
    checks.extend(mounts(facts));
    checks.extend(fuse(facts));
    checks.extend([uids(facts), pidfd(facts), landlock(facts), seccomp(facts), memfd(facts)]);
    checks.extend(denials(facts));
    checks
}

/// A layer, before it is known whether it is there.
struct Layer {
    name: &'static str,
    required_by: &'static str,
    found: String,
}

fn layer(name: &'static str, required_by: &'static str, found: impl Into<String>) -> Layer {
    Layer { name, required_by, found: found.into() }
}

impl Layer {
    fn judged(self, status: Status, consequence: impl Into<String>) -> Check {
        let Self { name, required_by, found } = self;
        Check { layer: name.into(), required_by: required_by.into(), found, status, consequence: consequence.into() }
    }

    fn ok(self) -> Check {
        self.judged(Status::Ok, "")
    }

    fn ok_if(self, there: bool, otherwise: Status, consequence: &str) -> Check {
        if there { self.ok() } else { self.judged(otherwise, consequence) }
    }
}

fn kernel(facts: &Facts) -> Check {
    // cgroup.kill is the newest thing that no version of a start does without.
    layer("kernel", EVERY, format!("Linux {}", facts.release)).ok_if(
        facts.version >= (5, 14),
        Status::Missing,
        "agents cannot be killed completely before Linux 5.14 (cgroup.kill); boot a newer kernel",
    )
}

/// What the daemon and its stages do with each; capabilities(7) has the numbers.
const CAPABILITIES: [(u32, &str); 12] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (8, "CAP_SETPCAP"),
    (12, "CAP_NET_ADMIN"),
    (18, "CAP_SYS_CHROOT"),
    (21, "CAP_SYS_ADMIN"),
    (27, "CAP_MKNOD"),
    (39, "CAP_BPF"),
];

fn root(facts: &Facts) -> Check {
    let lacking: Vec<&str> =
        CAPABILITIES.iter().filter(|(bit, _)| facts.capabilities >> bit & 1 == 0).map(|(_, name)| *name).collect();
    if facts.uid != 0 {
        let found = layer("privilege", EVERY, format!("uid {}", facts.uid));
        return found.judged(
            Status::Missing,
            "no agent can be confined by a user without privilege; start it as root: sudo agentosd",
        );
    }
    if lacking.is_empty() {
        return layer("privilege", EVERY, "root with the capabilities that are used").ok();
    }
    layer("privilege", EVERY, format!("root without {}", lacking.join(", "))).judged(
        Status::Missing,
        format!("no agent can be started without {}; grant it to the daemon (CapabilityBoundingSet= of its unit, --cap-add of its container)", lacking.join(", ")),
    )
}

fn namespaces(facts: &Facts) -> Check {
    let usable = |present, most: Option<u64>| present && most != Some(0);
    let lacking: Vec<&str> =
        facts.namespaces.iter().filter(|one| !usable(one.present, one.most)).map(|one| one.name).collect();
    let all: Vec<&str> = facts.namespaces.iter().map(|one| one.name).collect();
    if lacking.is_empty() {
        return layer("namespaces", EVERY, all.join(" ")).ok();
    }
    layer("namespaces", EVERY, format!("no {}", lacking.join(", "))).judged(
        Status::Missing,
        format!(
            "no agent can be separated from the host without them; raise /proc/sys/user/max_{}_namespaces, or use a kernel that has them",
            lacking[0]
        ),
    )
}

fn control_groups(facts: &Facts) -> Vec<Check> {
    let groups = match &facts.cgroups {
        Ok(groups) => groups,
        Err(why) => return vec![layer("cgroup kill and freeze", EVERY, "none").judged(Status::Missing, why.clone())],
    };
    let absent = |controller: &str, what: &str| {
        format!(
            "{what}; enable the controller (cgroup_enable={controller} on the kernel command line) or mount its hierarchy"
        )
    };
    let controller = |name, required_by, place: &Option<String>, (status, consequence): (Status, String)| match place {
        Some(place) => layer(name, required_by, place.clone()).ok(),
        None => layer(name, required_by, "none").judged(status, consequence),
    };
    let memory = (Status::Missing, absent("memory", "an agent could take all memory of the host"));
    let pids = (Status::Missing, absent("pids", "an agent could take all process numbers of the host"));
    let cpu = (Status::Degraded, absent("cpu", "an agent whose policy limits cpu does not start"));
    vec![
        layer("cgroup kill and freeze", EVERY, format!("version 2 at {}", groups.unified)).ok(),
        layer("start in a cgroup", EVERY, format!("Linux {}", facts.release)).ok_if(
            facts.version >= (5, 7),
            Status::Missing,
            "a start could leave its limits before they apply (CLONE_INTO_CGROUP); boot Linux 5.7 or newer",
        ),
        controller("cgroup memory", "limits.memory, which every agent has", &groups.memory, memory),
        controller("cgroup pids", "limits.pids, which every agent has", &groups.pids, pids),
        controller("cgroup cpu", "limits.cpu", &groups.cpu, cpu),
        swap(groups),
    ]
}

fn swap(groups: &Groups) -> Check {
    let found = match (groups.swap, groups.swap_counted) {
        (false, _) => "no swap",
        (true, true) => "swap counts against the limit",
        (true, false) => "swap is not counted",
    };
    layer("swap accounting", "limits.memory", found).ok_if(
        !groups.swap || groups.swap_counted,
        Status::Degraded,
        "an agent can use swap beyond its memory limit; boot with swapaccount=1, or switch swap off: swapoff -a",
    )
}

/// What shows an agent its memory and its policy.
fn fuse(facts: &Facts) -> [Check; 2] {
    let itself = match &facts.fuse {
        Ok(()) => layer("FUSE", EVERY, "can be made").ok(),
        Err(why) => layer("FUSE", EVERY, why.clone()).judged(
            Status::Missing,
            "an agent could be shown neither its memory nor its policy; load the module: modprobe fuse",
        ),
    };
    let otherwise = if facts.fuse_passthrough_optional { Status::Degraded } else { Status::Missing };
    let found = format!("Linux {}{}", facts.release, if facts.fuse_passthrough { "" } else { " without it" });
    let passthrough = layer("FUSE passthrough", EVERY, found).ok_if(
        facts.fuse_passthrough,
        otherwise,
        "every byte of an agent's memory would go through agentos-vfs, slowly and on its account; boot Linux 6.9 or newer with CONFIG_FUSE_PASSTHROUGH, or set vfs_passthrough: false",
    );
    [itself, passthrough]
}

fn mounts(facts: &Facts) -> Vec<Check> {
    let kernel = format!("Linux {}", facts.release);
    let since = |name, required_by, version, what: &str| {
        layer(name, required_by, kernel.clone()).ok_if(facts.version >= version, Status::Missing, what)
    };
    let mut checks = vec![
        since(
            "recursive read-only mounts",
            EVERY,
            (5, 12),
            "a read-only directory could hold a writable one (mount_setattr); boot Linux 5.12 or newer",
        ),
        since(
            "idmapped mounts",
            "--workspace",
            (5, 12),
            "files in a workspace would change their owner (mount_setattr with MOUNT_ATTR_IDMAP); boot Linux 5.12 or newer",
        ),
    ];
    checks.extend(facts.file_systems.iter().map(|(name, made)| match made {
        Ok(()) => layer(name, EVERY, "can be made").ok(),
        Err(why) => layer(name, EVERY, why.clone()).judged(
            Status::Missing,
            format!("no agent can be given its own {name}; use a kernel that has it, and run agentosd outside of containers that forbid mounts"),
        ),
    }));
    checks
}

fn uids(facts: &Facts) -> Check {
    let uids = &facts.uids;
    let range = format!("{} to {}", uids.range.start, uids.range.end.saturating_sub(1));
    if !uids.users.is_empty() {
        return layer("uid range", EVERY, format!("{range}, with {}", uids.users.join(", "))).judged(
            Status::Missing,
            "an agent would be the same user as one of the host's; choose a free range: uid_range in agentosd.yaml",
        );
    }
    if !uids.subordinate.is_empty() {
        return layer("uid range", EVERY, format!("{range}, shared with {}", uids.subordinate.join(", "))).judged(
            Status::Degraded,
            "a container of theirs (/etc/subuid) could be the same user as an agent; choose a free range: uid_range in agentosd.yaml",
        );
    }
    layer("uid range", EVERY, format!("{range}, free")).ok()
}

fn pidfd(facts: &Facts) -> Check {
    let found = if facts.pidfd { "there" } else { "none" };
    layer("pidfd", EVERY, found).ok_if(
        facts.pidfd,
        Status::Missing,
        "a signal could reach another process than the one meant; boot Linux 5.3 or newer",
    )
}

fn landlock(facts: &Facts) -> Check {
    /// What is there from which ABI on, and what holds back without it.
    const BROUGHT: [(u32, &str); 5] = [
        (2, "linking and renaming across directories is always refused (ABI 2)"),
        (3, "truncation is held back by read-only mounts alone (ABI 3)"),
        (4, "TCP is held back by the network namespace alone (ABI 4)"),
        (5, "requests to devices are held back by seccomp alone (ABI 5)"),
        (6, "signals and abstract sockets are held back by the namespaces alone (ABI 6)"),
    ];
    if facts.landlock == 0 {
        return layer("landlock", EVERY, "none").judged(
            Status::Missing,
            "there would be no floor under the mounts; boot with Landlock (CONFIG_SECURITY_LANDLOCK, and landlock in the lsm= list)",
        );
    }
    let found = layer("landlock", EVERY, format!("ABI {}", facts.landlock));
    let lacking: Vec<&str> = BROUGHT.iter().filter(|(abi, _)| facts.landlock < *abi).map(|(_, what)| *what).collect();
    if lacking.is_empty() {
        return found.ok();
    }
    let consequence = format!("{}{}; boot a newer kernel", lacking.join("; "), refusing(facts, LANDLOCK));
    found.judged(Status::Degraded, consequence)
}

/// What of [`KernelLayer`] is Landlock's.
const LANDLOCK: [KernelLayer; 3] =
    [KernelLayer::LandlockTruncate, KernelLayer::LandlockIoctl, KernelLayer::LandlockScope];

/// The layers that a kernel lacks, by its Landlock ABI and whether memory can be kept from being executed.
pub(super) fn lacking(abi: u32, memfd_noexec: bool) -> impl Iterator<Item = KernelLayer> {
    KernelLayer::ALL.into_iter().filter(move |layer| match layer {
        KernelLayer::LandlockTruncate => abi < 3,
        KernelLayer::MemfdNoexec => !memfd_noexec,
        KernelLayer::LandlockIoctl => abi < 5,
        KernelLayer::LandlockScope => abi < 6,
    })
}

/// That agents start only where their policy can do without what is lacking of `layers`.
fn refusing<const N: usize>(facts: &Facts, layers: [KernelLayer; N]) -> String {
    let lacking = lacking(facts.landlock, facts.memfd_noexec).filter(|layer| layers.contains(layer));
    let named: Vec<&str> = lacking.map(KernelLayer::word).collect();
    if named.is_empty() {
        return String::new();
    }
    format!("; agents start only under policies with optional_layers: [{}]", named.join(", "))
}

fn seccomp(facts: &Facts) -> Check {
    const ANSWERS: [&str; 3] = ["errno", "kill_process", "log"];
    let lacking: Vec<&str> = ANSWERS.into_iter().filter(|answer| !facts.seccomp_actions.contains(*answer)).collect();
    if lacking.is_empty() {
        return layer("seccomp", EVERY, format!("filters with {}", ANSWERS.join(", "))).ok();
    }
    layer("seccomp", EVERY, format!("no {}", lacking.join(", "))).judged(
        Status::Missing,
        "the whole surface of the kernel would be open; boot a kernel with CONFIG_SECCOMP_FILTER (Linux 4.14 or newer)",
    )
}

fn memfd(facts: &Facts) -> Check {
    let found = if facts.memfd_noexec { "vm.memfd_noexec" } else { "none" };
    let refusing = refusing(facts, [KernelLayer::MemfdNoexec]);
    layer("memfd without execution", "process.exec", found).ok_if(
        facts.memfd_noexec,
        Status::Degraded,
        &format!("an agent could execute a program that it keeps in memory only{refusing}; boot Linux 6.3 or newer"),
    )
}

fn denials(facts: &Facts) -> Vec<Check> {
    let log = match &facts.denial_log {
        Ok(()) => layer("denial log", DENIALS, "the kernel's audit").ok(),
        Err(why) => {
            layer("denial log", DENIALS, "none").judged(Status::Degraded, format!("denials are not listed: {why}"))
        }
    };
    let by_landlock = layer("denial log of landlock", DENIALS, format!("ABI {}", facts.landlock)).ok_if(
        facts.landlock >= 7,
        Status::Degraded,
        "what Landlock refuses is not listed; boot Linux 6.15 or newer",
    );
    let unlogged: Vec<&str> =
        ["errno", "kill_process"].into_iter().filter(|answer| !facts.seccomp_logged.contains(*answer)).collect();
    let by_seccomp = if unlogged.is_empty() {
        layer("denial log of seccomp", DENIALS, "errno, kill_process").ok()
    } else {
        layer("denial log of seccomp", DENIALS, format!("not {}", unlogged.join(", "))).judged(
            Status::Degraded,
            "what seccomp refuses is not all listed; add errno and kill_process to /proc/sys/kernel/seccomp/actions_logged",
        )
    };
    let mut checks = vec![log, by_landlock, by_seccomp];
    if facts.panics_on_lost_record {
        checks.push(layer("audit failure mode", EVERY, "panic").judged(
            Status::Degraded,
            "an agent that causes more records than the kernel can keep brings the host down; choose another mode: auditctl -f 1",
        ));
    }
    checks
}
