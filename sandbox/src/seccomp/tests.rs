//! The compiled programs, run on calls as the kernel would run them.

use super::assemble::X32_BIT;
use super::*;
use seccompiler::sock_filter;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const REFUSED: u32 = 0x0005_0000 | EPERM;
const UNKNOWN: u32 = 0x0005_0000 | ENOSYS;

/// Runs a classic BPF program on `struct seccomp_data`; only the instructions that seccomp programs use.
fn run(program: &[sock_filter], arch: u32, nr: u32, args: [u64; 6]) -> u32 {
    let mut data = [nr.to_ne_bytes(), arch.to_ne_bytes(), [0; 4], [0; 4]].concat();
    data.extend(args.iter().flat_map(|arg| arg.to_ne_bytes()));
    let (mut accumulator, mut at) = (0u32, 0usize);
    loop {
        let instruction = &program[at];
        at += 1;
        let jump = |taken: bool| usize::from(if taken { instruction.jt } else { instruction.jf });
        match u32::from(instruction.code) {
            0x20 => {
                let offset = instruction.k as usize;
                accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            0x05 => at += instruction.k as usize,
            0x15 => at += jump(accumulator == instruction.k),
            0x25 => at += jump(accumulator > instruction.k),
            0x35 => at += jump(accumulator >= instruction.k),
            0x54 => accumulator &= instruction.k,
            0x06 => return instruction.k,
            other => panic!("instruction {other:#x} at {}", at - 1),
        }
    }
}

/// What the kernel would answer with both programs loaded.
fn answer(nr: Sysno, args: [u64; 6]) -> u32 {
    let filters = Filters::compile().unwrap();
    let number = nr.id().unsigned_abs();
    let (logged, quiet) = (run(&filters.logged, X86_64, number, args), run(&filters.quiet, X86_64, number, args));
    // The lower action wins; of equal ones the program loaded last, which is `quiet`.
    if quiet >> 16 <= logged >> 16 { quiet } else { logged }
}

fn arguments(values: &[u64]) -> [u64; 6] {
    std::array::from_fn(|index| values.get(index).copied().unwrap_or(0))
}

#[test]
fn every_listed_call_is_allowed_and_the_list_has_reasons() {
    for group in list::ALLOWED {
        assert!(group.why.len() > 10);
        for call in group.calls {
            assert_eq!(answer(*call, arguments(&[])), ALLOW, "{call}");
        }
    }
}

#[test]
fn what_is_not_listed_is_refused() {
    for call in [
        Sysno::ptrace,
        Sysno::mount,
        Sysno::umount2,
        Sysno::bpf,
        Sysno::keyctl,
        Sysno::perf_event_open,
        Sysno::setns,
        Sysno::userfaultfd,
        Sysno::process_vm_readv,
        Sysno::kcmp,
        Sysno::pidfd_getfd,
        Sysno::process_madvise,
        Sysno::init_module,
        Sysno::open_tree,
        Sysno::chroot,
        Sysno::pivot_root,
        Sysno::reboot,
        Sysno::modify_ldt,
    ] {
        assert_eq!(answer(call, arguments(&[])), REFUSED, "{call}");
    }
}

#[test]
fn calls_with_a_fallback_are_said_not_to_exist() {
    for call in list::ABSENT {
        assert_eq!(answer(*call, arguments(&[])), UNKNOWN, "{call}");
    }
    let filters = Filters::compile().unwrap();
    assert_eq!(run(&filters.quiet, X86_64, NEWER, arguments(&[])), UNKNOWN);
}

const NEWER: u32 = 500;

#[test]
fn other_abis_are_killed() {
    let filters = Filters::compile().unwrap();
    assert_eq!(run(&filters.logged, I386, 1, arguments(&[])), KILL);
    assert_eq!(run(&filters.logged, X86_64, X32_BIT | 1, arguments(&[])), KILL);
    assert_eq!(run(&filters.logged, X86_64, u32::MAX, arguments(&[])), KILL);
    assert_eq!(run(&filters.quiet, I386, 1, arguments(&[])), KILL);
}

#[test]
fn arguments_are_read_as_the_kernel_reads_them() {
    const TIOCSTI: u64 = 0x5412;
    const TCGETS: u64 = 0x5401;
    assert_eq!(answer(Sysno::ioctl, arguments(&[0, TCGETS])), ALLOW);
    assert_eq!(answer(Sysno::ioctl, arguments(&[0, TIOCSTI])), REFUSED);
    assert_eq!(answer(Sysno::ioctl, arguments(&[0, 0xdead_beef_0000_0000 | TIOCSTI])), REFUSED);
    assert_eq!(answer(Sysno::clone, arguments(&[0x3d_0f00])), ALLOW);
    for bit in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        assert_eq!(answer(Sysno::clone, arguments(&[bit | 17])), REFUSED, "{bit:#x}");
        assert_eq!(answer(Sysno::unshare, arguments(&[bit])), REFUSED, "{bit:#x}");
    }
    assert_eq!(answer(Sysno::unshare, arguments(&[0x80])), REFUSED);
    assert_eq!(answer(Sysno::chmod, arguments(&[0, 0o755])), ALLOW);
    assert_eq!(answer(Sysno::chmod, arguments(&[0, 0o4755])), REFUSED);
    assert_eq!(answer(Sysno::fchmodat, arguments(&[0, 0, 0o2755])), REFUSED);
    assert_eq!(answer(Sysno::openat, arguments(&[0, 0, 0, 0o6777])), ALLOW, "without O_CREAT the mode means nothing");
    assert_eq!(answer(Sysno::openat, arguments(&[0, 0, 0o101, 0o644])), ALLOW);
    assert_eq!(answer(Sysno::openat, arguments(&[0, 0, 0o101, 0o4755])), REFUSED);
    assert_eq!(answer(Sysno::openat, arguments(&[0, 0, 0o20_200_002, 0o4755])), REFUSED, "O_TMPFILE");
    assert_eq!(answer(Sysno::mknodat, arguments(&[0, 0, 0o010_644])), ALLOW);
    assert_eq!(answer(Sysno::mknodat, arguments(&[0, 0, 0o020_644])), REFUSED);
    assert_eq!(answer(Sysno::renameat2, arguments(&[0, 0, 0, 0, 3])), ALLOW);
    assert_eq!(answer(Sysno::renameat2, arguments(&[0, 0, 0, 0, 4])), REFUSED, "a whiteout");
    assert_eq!(answer(Sysno::landlock_restrict_self, arguments(&[3, 2])), ALLOW);
    assert_eq!(answer(Sysno::landlock_restrict_self, arguments(&[3, 1])), REFUSED, "a domain that hides refusals");
    assert_eq!(answer(Sysno::socket, arguments(&[2, 0x80801, 6])), ALLOW);
    assert_eq!(answer(Sysno::socket, arguments(&[2, 3, 1])), REFUSED, "raw");
    assert_eq!(answer(Sysno::socket, arguments(&[2, 2, 1])), REFUSED, "ping");
    assert_eq!(answer(Sysno::socket, arguments(&[16, 3, 0])), REFUSED, "netlink");
    assert_eq!(answer(Sysno::socket, arguments(&[0x1_0000_0010, 3, 0])), REFUSED, "netlink with high bits");
    assert_eq!(answer(Sysno::setsockopt, arguments(&[0, 1, 2])), ALLOW, "SO_REUSEADDR");
    assert_eq!(answer(Sysno::setsockopt, arguments(&[0, 6, 26])), ALLOW, "26 of another level");
    for option in [26, 50, 51, 52, 0xffff_ffff_0000_001a] {
        assert_eq!(answer(Sysno::setsockopt, arguments(&[0, 0x1_0000_0001, option])), REFUSED, "{option:#x}");
    }
    for call in [Sysno::setxattr, Sysno::lsetxattr, Sysno::fsetxattr] {
        assert_eq!(answer(call, arguments(&[0, 0, 0, 1024])), ALLOW);
        assert_eq!(answer(call, arguments(&[0, 0, 0, 1025])), REFUSED);
        assert_eq!(answer(call, arguments(&[0, 0, 0, 1 << 32])), REFUSED);
    }
    assert_eq!(answer(Sysno::personality, arguments(&[0x40_0000])), REFUSED);
    assert_eq!(answer(Sysno::seccomp, arguments(&[1, 0])), ALLOW);
    assert_eq!(answer(Sysno::seccomp, arguments(&[1, 8])), REFUSED, "a listener");
}

#[test]
fn an_own_filter_cannot_write_refusals_into_the_log() {
    const LOG: u64 = 2;
    const TSYNC: u64 = 1;
    assert_eq!(answer(Sysno::seccomp, arguments(&[1, TSYNC])), ALLOW);
    assert_eq!(answer(Sysno::seccomp, arguments(&[1, LOG])), REFUSED);
    assert_eq!(answer(Sysno::seccomp, arguments(&[1, LOG | TSYNC])), REFUSED);
}

#[test]
fn the_programs_stay_small() {
    let filters = Filters::compile().unwrap();
    // The kernel compiles them at each start of an agent, which takes about half a microsecond an instruction.
    assert!(filters.logged.len() < 800 && filters.quiet.len() < 50, "{} {}", filters.logged.len(), filters.quiet.len());
}
