//! What a process still has from whoever started it. `reached` means: something is left.

use std::{collections::BTreeSet, env, fs, io};

use crate::{
    denials::{CALL, PATH},
    outcome::{Attempt, Refusal, Step, reached},
    params::{Params, in_initial_pid_namespace},
    primitive::{
        Control::{self, Root, When},
        Primitive,
    },
    syscall::{call, ptr_mut, w},
};

/// CAP_LAST_CAP is asked of the kernel by trying; no kernel has more than this.
const MOST_CAPABILITIES: i32 = 63;
/// The locks of noroot, no_setuid_fixup, keep_caps and no_cap_ambient_raise.
const LOCKS: i64 = 0b1010_1010;

const fn look(id: &'static str, tries: &'static str, control: Control, run: fn(&Params) -> Attempt) -> Primitive {
    Primitive { id, tries, denials: CALL, control, run }
}

pub(crate) const PRIMITIVES: &[Primitive] = &[
    look(
        "inheritance.descriptors",
        "is a descriptor above 2 open?",
        When("any process that was started with one: `3</dev/null`"),
        descriptors,
    ),
    look(
        "inheritance.standard_directories",
        "is a standard descriptor a directory or a block device?",
        When("any process that was started so: `0</`"),
        |_| standard_directories(),
    ),
    look(
        "inheritance.environment",
        "is a variable set that env_allow=A,B,… does not name?",
        When("any process that was started with one"),
        environment,
    ),
    look(
        "inheritance.groups",
        "is it in supplementary groups?",
        When("root started with some: `setpriv --groups 4`"),
        |_| {
            let field = status_field("Groups:")?;
            left(&field, field.is_empty())
        },
    ),
    look("inheritance.cap_inheritable", "is the inheritable set not empty?", When("root given one: `setpriv`"), |_| {
        set("CapInh:")
    }),
    look("inheritance.cap_permitted", "is the permitted set not empty?", Root, |_| set("CapPrm:")),
    look("inheritance.cap_effective", "is the effective set not empty?", Root, |_| set("CapEff:")),
    look("inheritance.cap_bounding", "is the bounding set not empty?", Root, |_| set("CapBnd:")),
    look("inheritance.cap_ambient", "is the ambient set not empty?", When("root given one: `setpriv`"), |_| {
        set("CapAmb:")
    }),
    look("inheritance.capget", "does capget show a capability? (/proc may lie)", Root, |_| capget()),
    look("inheritance.bounding_call", "does PR_CAPBSET_READ show a capability?", Root, |_| bounding()),
    look("inheritance.securebits", "is a secure bit not locked?", Root, |_| {
        let bits = call(libc::SYS_prctl, &[w(libc::PR_GET_SECUREBITS), w(0), w(0), w(0), w(0)])?;
        left(&format!("{bits:#x}"), bits & LOCKS == LOCKS)
    }),
    look("inheritance.no_new_privs", "is no_new_privs off?", Root, |_| {
        let on = call(libc::SYS_prctl, &[w(libc::PR_GET_NO_NEW_PRIVS), w(0), w(0), w(0), w(0)])?;
        left("off", on == 1)
    }),
    look("inheritance.seccomp", "is there no filter (Seccomp: not 2)?", Root, |_| {
        let mode = status_field("Seccomp:")?;
        left(&format!("mode {mode}"), mode == "2")
    }),
    look("inheritance.uid_zero", "is any of its uids 0?", Root, |_| {
        let uids = status_field("Uid:")?;
        left(&uids, !uids.split_whitespace().any(|uid| uid == "0"))
    }),
    look("inheritance.gid_zero", "is any of its gids 0?", Root, |_| {
        let gids = status_field("Gid:")?;
        left(&gids, !gids.split_whitespace().any(|gid| gid == "0"))
    }),
    look("inheritance.mapped_root", "is it mapped to uid 0 of the host?", Root, |_| {
        let map = fs::read_to_string("/proc/self/uid_map")?;
        let first = map.split_whitespace().nth(1).unwrap_or("0").to_owned();
        let own = status_field("Uid:")?;
        left(&map, first != "0" || !own.starts_with("0\t"))
    }),
    look(
        "inheritance.core_limit",
        "does the limit of core files allow one, or a handler of the host's?",
        When("a process whose `ulimit -Hc` is not 1"),
        |_| {
            let mut limits = [0u64; 2];
            call(libc::SYS_prlimit64, &[w(0), w(libc::RLIMIT_CORE), w(0), ptr_mut(&mut limits)])?;
            // 1 is below every core file, and the one value at which the kernel starts no handler either (core(5)).
            left(&limits[1].to_string(), limits[1] == 1)
        },
    ),
    look("inheritance.outlives_parent", "does nothing end it when its parent dies?", Root, |_| {
        let mut signal = 0i32;
        call(libc::SYS_prctl, &[w(libc::PR_GET_PDEATHSIG), ptr_mut(&mut signal), w(0), w(0), w(0)])?;
        left("no parent-death signal and the host's process namespace", signal != 0 || !in_initial_pid_namespace())
    }),
    Primitive {
        id: "inheritance.terminal",
        tries: "open /dev/tty: the controlling terminal of whoever started it",
        denials: PATH,
        control: When("root with a controlling terminal"),
        run: |_| {
            fs::File::options().read(true).write(true).open("/dev/tty")?;
            reached("a controlling terminal")
        },
    },
    look(
        "inheritance.working_directory",
        "is the working directory outside workspace?",
        When("any process that was started elsewhere"),
        working_directory,
    ),
    look("inheritance.umask", "does the umask let others write new files?", When("a process with umask 0"), |_| {
        let mask = call(libc::SYS_umask, &[w(0o77)])?;
        left(&format!("{mask:03o}"), mask & 0o002 != 0)
    }),
    look(
        "inheritance.signals_ignored",
        "are signals ignored or blocked from the start?",
        When("under `nohup`"),
        |_| {
            // The Rust runtime ignores SIGPIPE (13) itself.
            let ignored = u64::from_str_radix(&status_field("SigIgn:")?, 16).unwrap_or(u64::MAX) & !(1 << 12);
            let blocked = u64::from_str_radix(&status_field("SigBlk:")?, 16).unwrap_or(u64::MAX);
            left(&format!("ignored {ignored:#x}, blocked {blocked:#x}"), ignored == 0 && blocked == 0)
        },
    ),
    look("inheritance.session_keyring", "does /proc/keys name keys of another?", When("a host with keys"), |_| {
        match fs::read_to_string("/proc/keys") {
            Ok(keys) => left(&format!("{} keys", keys.lines().count()), keys.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Refusal::Denied("no /proc/keys".into())),
            Err(error) => Err(error.into()),
        }
    }),
];

/// `what` is left over, unless `clean`.
fn left(what: &str, clean: bool) -> Attempt {
    if clean { Err(Refusal::Denied("nothing left".into())) } else { reached(what.trim()) }
}

fn status_field(name: &str) -> Result<String, Refusal> {
    let status = fs::read_to_string("/proc/self/status").step("read /proc/self/status")?;
    let field = status.lines().find_map(|line| line.strip_prefix(name));
    field.map(|value| value.trim().to_owned()).ok_or_else(|| Refusal::Error(format!("no {name} in /proc/self/status")))
}

fn set(name: &str) -> Attempt {
    let field = status_field(name)?;
    left(&field, field.chars().all(|digit| digit == '0'))
}

fn descriptors(p: &Params) -> Attempt {
    let list: Vec<String> = p.descriptors.iter().map(|(fd, target)| format!("{fd}={}", target.display())).collect();
    left(&list.join(" "), list.is_empty())
}

fn standard_directories() -> Attempt {
    let bad: Vec<String> = (0..3)
        .filter(|fd| {
            use std::os::unix::fs::FileTypeExt;
            fs::metadata(format!("/proc/self/fd/{fd}"))
                .is_ok_and(|data| data.is_dir() || data.file_type().is_block_device())
        })
        .map(|fd| fd.to_string())
        .collect();
    left(&bad.join(" "), bad.is_empty())
}

fn environment(p: &Params) -> Attempt {
    let allowed: BTreeSet<&str> = p.get("env_allow").unwrap_or("").split(',').collect();
    let names: Vec<_> = p.environment.iter().map(|name| name.to_string_lossy()).collect();
    let rest: Vec<&str> = names.iter().map(AsRef::as_ref).filter(|name| !allowed.contains(name)).collect();
    left(&rest.join(" "), rest.is_empty())
}

fn capget() -> Attempt {
    // Version 3 of the header, then two of effective, permitted, inheritable.
    let mut header = [0x2008_0522u32, 0];
    let mut sets = [0u32; 6];
    call(libc::SYS_capget, &[ptr_mut(&mut header), ptr_mut(&mut sets)])?;
    left(&format!("{sets:x?}"), sets == [0; 6])
}

fn bounding() -> Attempt {
    let held: Vec<String> = (0..=MOST_CAPABILITIES)
        .filter(|capability| {
            call(libc::SYS_prctl, &[w(libc::PR_CAPBSET_READ), w(*capability)]).is_ok_and(|answer| answer == 1)
        })
        .map(|capability| capability.to_string())
        .collect();
    left(&held.join(" "), held.is_empty())
}

fn working_directory(p: &Params) -> Attempt {
    let workspace = p.text("workspace")?;
    let current = env::current_dir().step("getcwd")?;
    left(&current.display().to_string(), current.starts_with(workspace))
}
