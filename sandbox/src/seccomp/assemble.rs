//! The parts of the filters that no argument matters for, assembled as a search tree.
//!
//! The list's compiler makes a chain of one comparison a call. That is right for the few calls with arguments; for all
//! calls it would cost a launch half a millisecond, because the kernel runs a new filter once for each system call
//! number to learn which are always allowed (`seccomp_cache_prepare()`), and it would cost every filtered `open` a walk
//! along the chain.

use seccompiler::{BpfProgram, SeccompAction, sock_filter};

/// Offsets in `struct seccomp_data` (linux/seccomp.h).
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;
/// Each argument has 8 bytes, the low half first on x86-64.
const ARGUMENTS_OFFSET: u32 = 16;
/// `AUDIT_ARCH_X86_64` (linux/audit.h).
const X86_64: u32 = 0xc000_003e;
/// `__X32_SYSCALL_BIT`: calls of the x32 ABI come with the same architecture as 64-bit ones.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// Kills other ABIs, answers `action` for `calls`, and goes on behind its end with all others.
pub(super) fn head(calls: &[u32], action: SeccompAction) -> BpfProgram {
    let kill = u32::from(SeccompAction::KillProcess);
    let mut program = vec![
        load(ARCHITECTURE_OFFSET),
        jump(libc::BPF_JEQ, X86_64, 1, 0),
        answer(kill),
        load(NUMBER_OFFSET),
        jump(libc::BPF_JGE, X32_BIT, 0, 1),
        answer(kill),
    ];
    program.extend(tree(&ranges(calls), u32::from(action)));
    program
}

/// Answers one call by the low 32 bits of one argument: `allowed` values with `action`, all others with `otherwise`.
pub(super) fn by_argument(
    call: u32,
    index: u8,
    allowed: &[u32],
    (action, otherwise): (SeccompAction, SeccompAction),
) -> BpfProgram {
    let mut body = vec![load(ARGUMENTS_OFFSET + u32::from(index) * 8)];
    body.extend(tree(&ranges(allowed), u32::from(action)));
    body.push(answer(u32::from(otherwise)));
    let mut program = vec![jump(libc::BPF_JEQ, call, 1, 0), far(body.len())];
    program.extend(body);
    program
}

/// The program's last word.
pub(super) fn otherwise(action: SeccompAction) -> sock_filter {
    answer(u32::from(action))
}

/// Answers `action` for `first` and every number above; the number must still be loaded.
pub(super) fn answer_from(first: u32, action: SeccompAction) -> BpfProgram {
    vec![jump(libc::BPF_JGE, first, 0, 1), answer(u32::from(action))]
}

/// Runs of consecutive numbers, first and last.
fn ranges(calls: &[u32]) -> Vec<(u32, u32)> {
    let mut sorted = calls.to_vec();
    sorted.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for call in sorted {
        match ranges.last_mut() {
            Some((_, last)) if call <= *last + 1 => *last = call,
            _ => ranges.push((call, call)),
        }
    }
    ranges
}

/// A binary search; a number in no range leaves at the end of the tree, whose every path is a forward jump. Loading a
/// filter takes the kernel time for each instruction, and every agent's start with it.
fn tree(ranges: &[(u32, u32)], action: u32) -> BpfProgram {
    match ranges {
        [] => Vec::new(),
        // A number that is another jumps over the answer.
        [(first, last)] if first == last => vec![jump(libc::BPF_JEQ, *first, 0, 1), answer(action)],
        [(first, last)] => {
            vec![jump(libc::BPF_JGE, *first, 0, 2), jump(libc::BPF_JGT, *last, 1, 0), answer(action)]
        }
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let (low_tree, high_tree) = (tree(low, action), tree(high, action));
            let pivot = high.first().map_or(0, |(first, _)| *first);
            // A conditional jump reaches 255 instructions and the unconditional one all.
            let mut program = match u8::try_from(low_tree.len() + 1) {
                Ok(over) => vec![jump(libc::BPF_JGE, pivot, over, 0)],
                Err(_) => vec![jump(libc::BPF_JGE, pivot, 0, 1), far(low_tree.len() + 1)],
            };
            program.extend(low_tree);
            program.push(far(high_tree.len()));
            program.extend(high_tree);
            program
        }
    }
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, (0, 0))
}

fn answer(action: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action, (0, 0))
}

fn jump(test: u32, k: u32, if_true: u8, if_false: u8) -> sock_filter {
    instruction(libc::BPF_JMP | test | libc::BPF_K, k, (if_true, if_false))
}

fn far(distance: usize) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, u32::try_from(distance).unwrap_or(u32::MAX), (0, 0))
}

fn instruction(code: u32, k: u32, (jt, jf): (u8, u8)) -> sock_filter {
    // Every code is a byte of linux/bpf_common.h.
    sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k }
}
