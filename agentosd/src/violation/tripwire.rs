//! What no honest program does in an agent: a table over the kernel's refusals. `docs/violations.md` has the reasons, and
//! the reasons for what is refused and yet no tripwire.
//!
//! A seccomp record has no arguments, so that a call is a tripwire only when every refused use of it is one.

use protocol::denial::{Denial, Layer};

/// One of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tripwire(&'static str);

impl Tripwire {
    /// Its name in `docs/violations.md`: `mount`, `kernel-module`, …
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The tripwire that a refusal shows to have been touched.
    #[must_use]
    pub fn of(denial: &Denial) -> Option<Self> {
        match denial.layer {
            Layer::Seccomp => denial.syscall.as_deref().and_then(call),
            Layer::Landlock => denial.object.as_deref().and_then(place),
        }
    }
}

/// System calls that are refused in every use, by tripwire.
const CALLS: [(&str, &[&str]); 12] = [
    ("kernel-module", &["init_module", "finit_module", "delete_module"]),
    ("kexec", &["kexec_load", "kexec_file_load"]),
    (
        "mount",
        &[
            "mount",
            "umount2",
            "pivot_root",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "move_mount",
            "open_tree",
            "open_tree_attr",
            "mount_setattr",
        ],
    ),
    ("namespace", &["setns"]),
    ("bpf", &["bpf"]),
    ("userfaultfd", &["userfaultfd"]),
    ("foreign-descriptor", &["pidfd_getfd"]),
    ("file-handle", &["open_by_handle_at"]),
    ("swap", &["swapon", "swapoff"]),
    ("reboot", &["reboot"]),
    ("clock", &["settimeofday", "clock_settime"]),
    ("io-port", &["iopl", "ioperm"]),
];

/// Between the name of a machine and a number or name, in a call of another ABI; the filter kills whoever makes one.
const FOREIGN: &str = " system call ";

/// Where the trees of all agents stand on the host. Inside there is a decoy.
const OTHERS: (&str, &str) = ("other-agents", "/run/agentos/agents");

fn call(name: &str) -> Option<Tripwire> {
    if name.contains(FOREIGN) {
        return Some(Tripwire("foreign-abi"));
    }
    CALLS.iter().find(|(_, calls)| calls.contains(&name)).map(|(tripwire, _)| Tripwire(tripwire))
}

fn place(path: &str) -> Option<Tripwire> {
    let (tripwire, place) = OTHERS;
    let within = path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    within.then_some(Tripwire(tripwire))
}

/// Whether a refusal about this path could be one: for those who would rather not put a whole [`Denial`] together.
#[must_use]
pub fn touches(path: &str) -> bool {
    place(path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ids::TimeUs;

    fn denial(layer: Layer, action: &str, object: Option<&str>, syscall: Option<&str>) -> Denial {
        Denial {
            seq: 1,
            time_us: TimeUs(1),
            pid: None,
            exe: None,
            comm: None,
            layer,
            action: action.to_owned(),
            object: object.map(str::to_owned),
            syscall: syscall.map(str::to_owned),
            args: Vec::new(),
            sentence: String::new(),
        }
    }

    fn of_call(name: &str) -> Option<&'static str> {
        Tripwire::of(&denial(Layer::Seccomp, name, None, Some(name))).map(Tripwire::name)
    }

    fn at(action: &str, path: &str) -> Option<&'static str> {
        Tripwire::of(&denial(Layer::Landlock, action, Some(path), Some("openat"))).map(Tripwire::name)
    }

    #[test]
    fn every_call_of_the_table_is_one_that_the_kernel_names() {
        for (tripwire, calls) in CALLS {
            for call in calls {
                assert!(call.parse::<syscalls::Sysno>().is_ok(), "{call} is no system call");
                assert_eq!(of_call(call), Some(tripwire));
            }
        }
    }

    #[test]
    fn a_call_of_another_abi_is_one_and_an_unknown_call_is_none() {
        assert_eq!(of_call("x32 system call write"), Some("foreign-abi"));
        assert_eq!(of_call("i386 system call 20"), Some("foreign-abi"));
        assert_eq!(of_call("system call 999"), None);
    }

    /// What runtimes, debuggers, profilers, browsers and package tools try, and do without when they are refused.
    #[test]
    fn what_honest_programs_try_is_none() {
        let honest = [
            "unshare",
            "clone",
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "perf_event_open",
            "keyctl",
            "add_key",
            "request_key",
            "ioctl",
            "prctl",
            "fcntl",
            "socket",
            "chroot",
            "syslog",
            "adjtimex",
            "clock_adjtime",
            "name_to_handle_at",
            "modify_ldt",
            "personality",
            "sethostname",
            "kcmp",
            "fanotify_init",
            "io_uring_setup",
            "mknodat",
            "fchmodat",
            "quotactl",
            "migrate_pages",
            "move_pages",
            "seccomp",
            "setsockopt",
        ];
        for call in honest {
            assert_eq!(of_call(call), None, "{call}");
        }
    }

    #[test]
    fn the_trees_of_others_are_one() {
        assert_eq!(at("read", "/run/agentos/agents/root/status"), Some("other-agents"));
        assert_eq!(at("create directory", "/run/agentos/agents"), Some("other-agents"));
        for path in
            ["/run/agentos/kernel.sock", "/run/agentos/agents-of-mine", "/work/run/agentos/agents/a", "/etc/shadow"]
        {
            assert_eq!(at("read", path), None, "{path}");
        }
        assert!(touches("/run/agentos/agents/a") && !touches("/run/agentos"));
    }
}
