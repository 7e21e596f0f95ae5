//! Files by which a machine is controlled, and files that are none of the agent's business.
//!
//! They are opened, never written: opening for writing is where permission is decided. Contents are not reported.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{
    denials::PATH,
    outcome::{Attempt, Refusal, Step, reached},
    params::Params,
    primitive::{
        Control::{self, Root, When},
        Primitive,
    },
};

const VERSION_ONE: Control = When("root on a host with a version 1 cgroup hierarchy");
const IF_PRESENT: Control = When("root on a host that has the file");

const fn path(id: &'static str, tries: &'static str, control: Control, run: fn(&Params) -> Attempt) -> Primitive {
    Primitive { id, tries, denials: PATH, control, run }
}

pub(crate) const PRIMITIVES: &[Primitive] = &[
    path("host_files.core_pattern", "write /proc/sys/kernel/core_pattern", Root, |_| {
        write("/proc/sys/kernel/core_pattern")
    }),
    path("host_files.modprobe", "write /proc/sys/kernel/modprobe", IF_PRESENT, |_| write("/proc/sys/kernel/modprobe")),
    path("host_files.hotplug", "write /sys/kernel/uevent_helper", IF_PRESENT, |_| write("/sys/kernel/uevent_helper")),
    path("host_files.sysctl_vm", "write /proc/sys/vm/overcommit_memory", Root, |_| {
        write("/proc/sys/vm/overcommit_memory")
    }),
    path("host_files.drop_caches", "write /proc/sys/vm/drop_caches", Root, |_| write("/proc/sys/vm/drop_caches")),
    path("host_files.sysctl_net", "write /proc/sys/net/ipv4/ip_forward", Root, |_| {
        write("/proc/sys/net/ipv4/ip_forward")
    }),
    path("host_files.randomize", "write /proc/sys/kernel/randomize_va_space", Root, |_| {
        write("/proc/sys/kernel/randomize_va_space")
    }),
    path("host_files.binfmt_misc", "write /proc/sys/fs/binfmt_misc/register", IF_PRESENT, |_| {
        write("/proc/sys/fs/binfmt_misc/register")
    }),
    path("host_files.sysrq", "open /proc/sysrq-trigger for writing", IF_PRESENT, |_| write("/proc/sysrq-trigger")),
    path("host_files.release_agent", "write release_agent of a cgroup hierarchy", VERSION_ONE, |_| {
        cgroup_file("release_agent")
    }),
    path("host_files.devices_allow", "write devices.allow of a cgroup hierarchy", VERSION_ONE, |_| {
        cgroup_file("devices.allow")
    }),
    path("host_files.cgroup_escape", "write its own number into cgroup.procs of a hierarchy's root", Root, |_| {
        cgroup_escape()
    }),
    path("host_files.cgroup_mkdir", "make a cgroup below a hierarchy's root", Root, |_| cgroup_mkdir()),
    path("host_files.kallsyms", "read an address that is not zero in /proc/kallsyms", IF_PRESENT, |_| kallsyms()),
    path("host_files.keys", "read /proc/keys", When("root on a host that has keys"), |_| read("/proc/keys")),
    path("host_files.kcore", "read /proc/kcore", IF_PRESENT, |_| read("/proc/kcore")),
    path("host_files.kmsg", "read /proc/kmsg", IF_PRESENT, |_| open_only("/proc/kmsg")),
    path("host_files.proc_config", "read /proc/config.gz", IF_PRESENT, |_| read("/proc/config.gz")),
    path("host_files.proc_partitions", "read /proc/partitions", Root, |_| read("/proc/partitions")),
    path("host_files.proc_loadavg", "read /proc/loadavg", Root, |_| read("/proc/loadavg")),
    path("host_files.dev_mem", "open /dev/mem", IF_PRESENT, |_| open_only("/dev/mem")),
    path("host_files.dev_port", "open /dev/port", IF_PRESENT, |_| open_only("/dev/port")),
    path("host_files.dev_kmsg", "open /dev/kmsg for writing", IF_PRESENT, |_| write("/dev/kmsg")),
    path("host_files.dev_kvm", "open /dev/kvm", IF_PRESENT, |_| open_only("/dev/kvm")),
    path("host_files.dev_fuse", "open /dev/fuse", IF_PRESENT, |_| open_only("/dev/fuse")),
    path("host_files.dev_tun", "open /dev/net/tun", IF_PRESENT, |_| open_only("/dev/net/tun")),
    path("host_files.dev_loop", "open /dev/loop-control", IF_PRESENT, |_| open_only("/dev/loop-control")),
    path("host_files.dev_console", "open /dev/console for writing", IF_PRESENT, |_| write("/dev/console")),
    path("host_files.sys_kernel", "list /sys/kernel", Root, |_| list("/sys/kernel")),
    path("host_files.sys_debug", "list /sys/kernel/debug", IF_PRESENT, |_| list("/sys/kernel/debug")),
    path("host_files.sys_tracing", "list /sys/kernel/tracing", IF_PRESENT, |_| list("/sys/kernel/tracing")),
    path("host_files.sys_firmware", "list /sys/firmware", IF_PRESENT, |_| list("/sys/firmware")),
    path("host_files.sys_block", "list /sys/block", Root, |_| list("/sys/block")),
    path("host_files.uid_map", "open /proc/self/uid_map for writing", Root, |_| write("/proc/self/uid_map")),
    path("host_files.loginuid", "write /proc/self/loginuid", IF_PRESENT, |_| write("/proc/self/loginuid")),
    path("host_files.shadow", "open /etc/shadow", IF_PRESENT, |_| open_only("/etc/shadow")),
    path("host_files.ssh", "open the directory ssh_dir (default /root/.ssh)", IF_PRESENT, |p| {
        open_only(p.get("ssh_dir").unwrap_or("/root/.ssh"))
    }),
    path("host_files.root_home", "open the directory /root", Root, |_| open_only("/root")),
    path("host_files.docker_socket", "find /var/run/docker.sock", IF_PRESENT, |_| {
        fs::metadata("/var/run/docker.sock")?;
        reached("visible")
    }),
    path(
        "host_files.run_agentos",
        "list control_dir (default /run/agentos)",
        When("a host where the daemon runs"),
        |p| list(p.get("control_dir").unwrap_or("/run/agentos")),
    ),
    path("host_files.usr_bin_create", "create a file in /usr/bin (and remove it)", Root, |_| create("/usr/bin")),
    path("host_files.etc_create", "create a file in /etc (and remove it)", Root, |_| create("/etc")),
    path("host_files.boot_create", "create a file in /boot (and remove it)", IF_PRESENT, |_| create("/boot")),
    path("host_files.root_create", "create a file in / (and remove it)", Root, |_| create("/")),
    path("host_files.usr_bin_write", "open /usr/bin/env for writing", Root, |_| write("/usr/bin/env")),
    path("host_files.passwd_write", "open /etc/passwd for writing", Root, |_| write("/etc/passwd")),
    path("host_files.preload_write", "open /etc/ld.so.preload for writing (not created)", IF_PRESENT, |_| {
        write("/etc/ld.so.preload")
    }),
    path("host_files.canary_read", "read host_file and find host_canary in it", Root, |p| {
        canary(p, Path::new(p.text("host_file")?))
    }),
    path("host_files.canary_write", "open host_file for writing", Root, |p| write(p.text("host_file")?)),
];

fn write(path: &str) -> Attempt {
    File::options().write(true).open(path)?;
    reached("open for writing")
}

fn open_only(path: &str) -> Attempt {
    File::open(path)?;
    reached("open")
}

fn read(path: &str) -> Attempt {
    let length = std::io::Read::read(&mut File::open(path)?, &mut [0u8; 1]).step("read")?;
    if length == 1 { reached("readable") } else { Err(Refusal::Denied("opened, but empty".into())) }
}

fn list(path: &str) -> Attempt {
    let entries = fs::read_dir(path)?.count();
    if entries > 0 { reached(format!("{entries} entries")) } else { Err(Refusal::Denied("there, but empty".into())) }
}

fn create(directory: &str) -> Attempt {
    let path = Path::new(directory).join(format!(".probe-{}", std::process::id()));
    File::create_new(&path)?;
    fs::remove_file(&path).step("remove it again")?;
    reached("created and removed")
}

/// Opens `path` and compares; another file under the same name is not the host's.
pub(crate) fn canary(p: &Params, path: &Path) -> Attempt {
    let text = fs::read_to_string(path)?;
    match p.get("host_canary") {
        Some(canary) if !text.contains(canary) => {
            Err(Refusal::Denied("a file of that name, but not the host's".into()))
        }
        _ => reached("the host's file"),
    }
}

fn kallsyms() -> Attempt {
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let shown =
        symbols.lines().any(|line| line.split(' ').next().is_some_and(|word| !word.trim_matches('0').is_empty()));
    if shown { reached("addresses of the kernel") } else { Err(Refusal::Denied("every address is zero".into())) }
}

/// Where cgroup hierarchies are mounted, or would be on a usual host.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<PathBuf> = mounts
        .lines()
        .filter(|line| line.contains(" - cgroup"))
        .filter_map(|line| line.split(' ').nth(4).map(PathBuf::from))
        .collect();
    if found.is_empty() {
        found = vec!["/sys/fs/cgroup".into(), "/sys/fs/cgroup/memory".into(), "/sys/fs/cgroup/unified".into()];
    }
    found
}

/// Tries `attempt` in every hierarchy; one success is enough, else the last refusal counts.
fn in_any_hierarchy(attempt: impl Fn(&Path) -> std::io::Result<()>) -> Attempt {
    let mut last = Refusal::Absent("no hierarchy to try".into());
    for root in hierarchies() {
        match attempt(&root) {
            Ok(()) => return reached(root.display().to_string()),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

fn cgroup_file(name: &str) -> Attempt {
    in_any_hierarchy(|root| File::options().write(true).open(root.join(name)).map(drop))
}

fn cgroup_escape() -> Attempt {
    in_any_hierarchy(|root| fs::write(root.join("cgroup.procs"), std::process::id().to_string()))
}

fn cgroup_mkdir() -> Attempt {
    in_any_hierarchy(|root| {
        let path = root.join(format!("probe-{}", std::process::id()));
        fs::create_dir(&path)?;
        fs::remove_dir(&path)
    })
}
