//! System calls that are allowed with some arguments only.
//!
//! An `int` argument is compared by its low 32 bits, as the kernel reads it: TIOCSTI with rubbish in the high half is
//! still TIOCSTI. A `mode_t` or flag word is tested by the bits that matter.

use super::{Test, Ways};
use syscalls::Sysno;

/// Every call of this kind, with the ways in which it is allowed.
pub(super) fn filtered() -> Vec<(Sysno, Ways)> {
    let mut calls = files();
    calls.extend(processes());
    calls.extend(sockets());
    calls
}

/// Calls that one `int` argument decides: the call, which argument, and the values that are allowed.
pub(super) const BY_ONE: [(Sysno, u8, &[u32]); 4] = [
    (Sysno::ioctl, 1, IOCTLS),
    (Sysno::prctl, 0, PRCTLS),
    (Sysno::personality, 0, PERSONALITIES),
    (Sysno::fcntl, 1, FCNTLS),
];

/// Commands of fcntl(2): all but those that take a lease or delegation, for which whoever opens the file on the host waits,
/// 45 seconds each time (`/proc/sys/fs/lease-break-time`).
const FCNTLS: &[u32] = &[
    0, // F_DUPFD
    1, 2, 3, 4, // F_GETFD, F_SETFD, F_GETFL, F_SETFL
    5, 6, 7, 36, 37, 38, // record locks: F_GETLK and its like, F_OFD_GETLK and its like
    8, 9, 10, 11, 15, 16, 17, // F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG, F_SETOWN_EX, F_GETOWN_EX, F_GETOWNER_UIDS
    1025, 1026, 1027, 1028,
    1029, // F_GETLEASE, F_NOTIFY, F_DUPFD_QUERY, F_CREATED_QUERY, F_CANCELLK (which the kernel refuses itself)
    1030, 1031, 1032, 1033, 1034, // F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS
    1035, 1036, 1037, 1038, // F_GET_RW_HINT and its like
];

/// PER_LINUX, PER_LINUX32, and the question what it is; no READ_IMPLIES_EXEC, no ADDR_NO_RANDOMIZE.
const PERSONALITIES: &[u32] = &[0, 8, 0xffff_ffff];

/// S_ISUID and S_ISGID: on a workspace whose files belong to a host user such a program would run as that user for
/// whoever starts it outside.
const IDENTITY_BITS: u64 = 0o6000;
/// O_CREAT, and O_TMPFILE without its O_DIRECTORY: only with these does the kernel read the mode.
const CREATES: u64 = 0o100 | 0o20_000_000;

fn files() -> Vec<(Sysno, Ways)> {
    let clear = |index: u8| Test::Masked { index, mask: IDENTITY_BITS, value: 0 };
    let opens = |flags: u8| vec![vec![Test::Masked { index: flags, mask: CREATES, value: 0 }], vec![clear(flags + 1)]];
    // Regular files (also written as type 0), pipes and sockets; no devices.
    let nodes = |mode: u8| -> Ways {
        let kinds = [0, 0o100_000, 0o010_000, 0o140_000];
        kinds.map(|kind| vec![Test::Masked { index: mode, mask: 0o170_000 | IDENTITY_BITS, value: kind }]).to_vec()
    };
    vec![
        (Sysno::open, opens(1)),
        (Sysno::openat, opens(2)),
        (Sysno::creat, vec![vec![clear(1)]]),
        (Sysno::chmod, vec![vec![clear(1)]]),
        (Sysno::fchmod, vec![vec![clear(1)]]),
        (Sysno::fchmodat, vec![vec![clear(2)]]),
        (Sysno::fchmodat2, vec![vec![clear(2)]]),
        // No RENAME_WHITEOUT, which leaves a device node behind.
        (Sysno::renameat2, vec![vec![Test::Masked { index: 4, mask: 1 << 2, value: 0 }]]),
        (Sysno::mknod, nodes(1)),
        (Sysno::mknodat, nodes(2)),
        (Sysno::setxattr, small(3)),
        (Sysno::lsetxattr, small(3)),
        (Sysno::fsetxattr, small(3)),
    ]
}

/// An access control list is kernel memory that is counted for nobody (`posix_acl_alloc()`), up to 64 KiB a file. With
/// this bound it takes no more than the file itself, which is counted.
fn small(size: u8) -> Ways {
    const LARGEST: u64 = 1024;
    vec![vec![Test::AtMost { index: size, value: LARGEST }]]
}

/// CLONE_NEW*: namespaces give a process powers over them, and so kernel code that was written for root.
const NAMESPACES: u64 = 0x7e02_0000;
/// CLONE_NEWTIME, which unshare knows and clone does not (there the bit belongs to the exit signal).
const NEW_TIME: u64 = 0x80;

fn processes() -> Vec<(Sysno, Ways)> {
    const SET_MODE_FILTER: u64 = 1;
    const GET_ACTION_AVAIL: u64 = 2;
    const FLAG_LOG: u64 = 1 << 1;
    const NEW_LISTENER: u64 = 1 << 3;
    vec![
        (Sysno::clone, vec![vec![Test::Masked { index: 0, mask: NAMESPACES, value: 0 }]]),
        (Sysno::unshare, vec![vec![Test::Masked { index: 0, mask: NAMESPACES | NEW_TIME, value: 0 }]]),
        // Confining itself further, but not out of the log's sight: no LOG_SAME_EXEC_OFF, no LOG_SUBDOMAINS_OFF.
        (Sysno::landlock_restrict_self, vec![vec![Test::Masked { index: 1, mask: 1 | 1 << 2, value: 0 }]]),
        // Filtering itself further, but not supervising: a listener could answer for a process of another filter. Nor
        // logged: a record does not say which filter answered, and its answers would read as this one's.
        (
            Sysno::seccomp,
            vec![
                vec![
                    Test::Is { index: 0, value: SET_MODE_FILTER },
                    Test::Masked { index: 1, mask: NEW_LISTENER | FLAG_LOG, value: 0 },
                ],
                vec![Test::Is { index: 0, value: GET_ACTION_AVAIL }],
            ],
        ),
    ]
}

fn sockets() -> Vec<(Sysno, Ways)> {
    const UNIX: u64 = 1;
    const STREAM: u64 = 1;
    const DATAGRAM: u64 = 2;
    const SEQPACKET: u64 = 5;
    /// SOCK_TYPE_MASK: the rest of the word is SOCK_NONBLOCK and SOCK_CLOEXEC.
    const TYPE: u64 = 0xf;
    let kind = |value: u64| Test::Masked { index: 1, mask: TYPE, value };
    let family = |value: u64| Test::Is { index: 0, value };
    let protocol = |value: u64| Test::Is { index: 2, value };
    let mut ways: Ways = [STREAM, DATAGRAM, SEQPACKET].map(|k| vec![family(UNIX), kind(k)]).to_vec();
    // AF_INET and AF_INET6: TCP and UDP; no raw and no ping sockets.
    for inet in [2, 10] {
        ways.extend(
            [(STREAM, 0), (STREAM, 6), (DATAGRAM, 0), (DATAGRAM, 17)]
                .map(|(k, p)| vec![family(inet), kind(k), protocol(p)]),
        );
    }
    vec![(Sysno::socket, ways), (Sysno::socketpair, vec![vec![family(UNIX)]]), (Sysno::setsockopt, options())]
}

/// Every option but those that attach a program. Compiled programs share one bound on the host (`net.core.bpf_jit_limit`)
/// with the filters of every unprivileged process; some thousand sockets exhaust it.
fn options() -> Ways {
    const SOCKET_LEVEL: u64 = 1;
    /// SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF.
    const ATTACH: [u64; 4] = [26, 50, 51, 52];
    vec![
        vec![Test::IsNot { index: 1, value: SOCKET_LEVEL }],
        ATTACH.map(|option| Test::IsNot { index: 2, value: option }).to_vec(),
    ]
}

/// Options of prctl(2) that concern the process alone.
const PRCTLS: &[u32] = &[
    1,
    2, // PDEATHSIG: set, get
    3,
    4, // DUMPABLE: get, set
    7, // KEEPCAPS: get
    15,
    16, // NAME: set, get
    21,
    22, // SECCOMP: get, set (strict, or a filter without flags)
    23, // CAPBSET_READ
    25,
    26, // TSC: get, set
    27, // SECUREBITS: get
    29,
    30, // TIMERSLACK: set, get
    36,
    37, // CHILD_SUBREAPER: set, get
    38,
    39, // NO_NEW_PRIVS: set, get
    40, // GET_TID_ADDRESS
    41,
    42, // THP_DISABLE: set, get
    47, // CAP_AMBIENT: with no capability to raise
    52,
    53, // SPECULATION_CTRL: get, set
    65,
    66,          // MDWE: set, get
    0x4155_5856, // GET_AUXV
    0x5356_4d41, // SET_VMA (names of anonymous mappings)
    0x5961_6d61, // SET_PTRACER, which debuggers' helpers set and which grants nothing while ptrace is refused
];

/// Requests of ioctl(2): terminals without TIOCSTI, TIOCLINUX, TIOCSETD and TIOCCONS; what files and sockets need.
const IOCTLS: &[u32] = &[
    0x5401,
    0x5402,
    0x5403,
    0x5404, // TCGETS, TCSETS, TCSETSW, TCSETSF
    0x5405,
    0x5406,
    0x5407,
    0x5408, // TCGETA, TCSETA, TCSETAW, TCSETAF
    0x5409,
    0x540a,
    0x540b, // TCSBRK, TCXONC, TCFLSH
    0x540c,
    0x540d,
    0x540e, // TIOCEXCL, TIOCNXCL, TIOCSCTTY
    0x540f,
    0x5410,
    0x5411, // TIOCGPGRP, TIOCSPGRP, TIOCOUTQ
    0x5413,
    0x5414, // TIOCGWINSZ, TIOCSWINSZ
    0x541b, // FIONREAD
    0x5420,
    0x5421,
    0x5422, // TIOCPKT, FIONBIO, TIOCNOTTY
    0x5424,
    0x5425,
    0x5429, // TIOCGETD, TCSBRKP, TIOCGSID
    0x802c_542a,
    0x402c_542b,
    0x402c_542c,
    0x402c_542d, // TCGETS2, TCSETS2, TCSETSW2, TCSETSF2
    0x8004_5430,
    0x4004_5431,
    0x5441, // TIOCGPTN, TIOCSPTLCK, TIOCGPTPEER
    0x8004_5438,
    0x8004_5439,
    0x8004_5440, // TIOCGPKT, TIOCGPTLCK, TIOCGEXCL
    0x5450,
    0x5451,
    0x5452,
    0x5460, // FIONCLEX, FIOCLEX, FIOASYNC, FIOQSIZE
    0x8901,
    0x8902,
    0x8903,
    0x8904,
    0x8905, // FIOSETOWN, SIOCSPGRP, FIOGETOWN, SIOCGPGRP, SIOCATMARK
    0x8910,
    0x8912,
    0x8913,
    0x8915,
    0x8919,
    0x891b,
    0x8921,
    0x8927,
    0x8933,
    0x8942, // SIOCGIF*: reading the interface lo
    0x4004_9409,
    0x4020_940d, // FICLONE, FICLONERANGE
    0xc018_9436, // FIDEDUPERANGE
    0x8008_6601,
    0x801c_581f,
    0xc020_660b, // FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FIEMAP
    0x8004_5200, // RNDGETENTCNT
];
