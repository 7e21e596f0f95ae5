//! Becoming someone else: root, another user, another group, or oneself with more capabilities.

use crate::{
    denials::CALL,
    outcome::{Attempt, Step, reached},
    params::Params,
    primitive::{
        Control::{self, Root, When},
        Primitive,
    },
    syscall::{call, ptr, ptr_mut, w},
};

const OTHER: u32 = 12345;
const CAP_NET_RAW: u32 = 13;
const NOT_AS_ROOT: Control = When("an unprivileged process with CAP_SETUID; as root it changes nothing");
/// An id that the user namespace does not map is EINVAL before any check of privilege.
const UNMAPPED: &[i32] = &[libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EINVAL];

const fn become_other(id: &'static str, tries: &'static str, run: fn(&Params) -> Attempt) -> Primitive {
    Primitive { id, tries, denials: UNMAPPED, control: Root, run }
}

pub(crate) const PRIMITIVES: &[Primitive] = &[
    become_other("inheritance.setuid_root", "setuid(0)", |_| done(call(libc::SYS_setuid, &[w(0)]))),
    become_other("inheritance.setgid_root", "setgid(0)", |_| done(call(libc::SYS_setgid, &[w(0)]))),
    become_other("inheritance.setgroups", "setgroups([0])", |_| done(call(libc::SYS_setgroups, &[w(1), ptr(&0u32)]))),
    become_other("inheritance.setgroups_none", "setgroups([]): drop a group that denies", |_| {
        done(call(libc::SYS_setgroups, &[w(0), w(0)]))
    }),
    become_other("inheritance.setresuid_other", "setresuid to another user", |_| {
        done(call(libc::SYS_setresuid, &[w(OTHER), w(OTHER), w(OTHER)]))
    }),
    become_other("inheritance.setresgid_other", "setresgid to another group", |_| {
        done(call(libc::SYS_setresgid, &[w(OTHER), w(OTHER), w(OTHER)]))
    }),
    become_other("inheritance.setreuid_root", "setreuid(0, 0)", |_| done(call(libc::SYS_setreuid, &[w(0), w(0)]))),
    Primitive {
        id: "inheritance.setfsuid_root",
        tries: "setfsuid(0), then ask who it is",
        denials: CALL,
        control: NOT_AS_ROOT,
        run: |_| {
            // The call never fails; a second one tells what the first did.
            call(libc::SYS_setfsuid, &[w(0)])?;
            let now = call(libc::SYS_setfsuid, &[w(-1)])?;
            if now == 0 {
                reached("file accesses as root")
            } else {
                Err(crate::outcome::Refusal::Denied(now.to_string()))
            }
        },
    },
    Primitive {
        id: "inheritance.capset",
        tries: "capset: take CAP_NET_RAW",
        denials: CALL,
        control: Root,
        run: |_| {
            take_net_raw()?;
            reached("a capability")
        },
    },
    Primitive {
        id: "inheritance.ambient_raise",
        tries: "PR_CAP_AMBIENT_RAISE of CAP_NET_RAW",
        denials: CALL,
        control: Root,
        run: |_| {
            // Ambient capabilities must be inheritable; where this is refused, so is the raise.
            let inheritable = take_net_raw();
            let words = [w(libc::PR_CAP_AMBIENT), w(libc::PR_CAP_AMBIENT_RAISE), w(CAP_NET_RAW), w(0), w(0)];
            call(libc::SYS_prctl, &words)?;
            inheritable.step("capset")?;
            reached("a capability that survives execve")
        },
    },
    Primitive {
        id: "inheritance.set_securebits",
        tries: "PR_SET_SECUREBITS to 0",
        denials: CALL,
        control: Root,
        run: |_| done(call(libc::SYS_prctl, &[w(libc::PR_SET_SECUREBITS), w(0), w(0), w(0), w(0)])),
    },
    Primitive {
        id: "inheritance.keepcaps",
        tries: "PR_SET_KEEPCAPS",
        denials: CALL,
        control: Root,
        run: |_| done(call(libc::SYS_prctl, &[w(libc::PR_SET_KEEPCAPS), w(1), w(0), w(0), w(0)])),
    },
    Primitive {
        id: "inheritance.clear_no_new_privs",
        tries: "PR_SET_NO_NEW_PRIVS to 0",
        denials: UNMAPPED,
        control: When("never: the kernel takes 1 only"),
        run: |_| done(call(libc::SYS_prctl, &[w(libc::PR_SET_NO_NEW_PRIVS), w(0), w(0), w(0), w(0)])),
    },
];

/// What `execve` of a privileged program may change.
pub(crate) struct Credentials {
    /// The effective user.
    pub(crate) euid: u32,
    /// The effective capabilities, a bit each.
    pub(crate) held: u64,
}

impl Credentials {
    /// As /proc/self/status has them.
    pub(crate) fn of_this_process() -> std::io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
        let euid = field("Uid:").split_whitespace().nth(1).and_then(|word| word.parse().ok());
        let held = u64::from_str_radix(field("CapEff:").trim(), 16).ok();
        let fields = euid.zip(held).map(|(euid, held)| Self { euid, held });
        fields.ok_or_else(|| std::io::Error::other("no Uid: or CapEff: in /proc/self/status"))
    }

    /// As `probe setuid-helper` prints them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (euid, held) = text.trim().strip_prefix("euid=")?.split_once("\neffective=")?;
        Some(Self { euid: euid.parse().ok()?, held: u64::from_str_radix(held, 16).ok()? })
    }
}

fn done(result: std::io::Result<i64>) -> Attempt {
    result?;
    reached("the kernel agreed")
}

/// Adds CAP_NET_RAW to the effective, permitted and inheritable sets.
fn take_net_raw() -> std::io::Result<()> {
    let mut header = [0x2008_0522u32, 0];
    let mut sets = [0u32; 6];
    call(libc::SYS_capget, &[ptr_mut(&mut header), ptr_mut(&mut sets)])?;
    for set in &mut sets[..3] {
        *set |= 1 << CAP_NET_RAW;
    }
    call(libc::SYS_capset, &[ptr(&header), ptr(&sets)]).map(drop)
}
