//! Filters of a process's own, which refuse in its own name.

use std::io;

use super::say;
use crate::syscall::{Fork, call, exit_now, fork, ptr, w, wait_for};

/// The answers that the kernel logs without being asked to (`seccomp_log()`): killing the thread, killing the process,
/// and allowing with a record.
const LOGGED: [u32; 3] = [0, 0x8000_0000, 0x7ffc_0000];
const ALLOW: u32 = 0x7fff_0000;

/// One child for each answer, and then a refusal by whoever confines this process.
pub(super) fn refusals() -> io::Result<u8> {
    for answer in LOGGED {
        match fork()? {
            Fork::Child => exit_now(i32::from(answered(answer).is_err())),
            Fork::Parent(child) => say(&format!("{answer:#x}: {:?}", wait_for(child, 0)?))?,
        }
    }
    let refused = call(libc::SYS_mount, &[w(0), w(0), w(0), w(0), w(0)]);
    say(&format!("mount: {refused:?}"))?;
    super::forever()
}

/// Makes a call that a filter of our own gives this answer to.
fn answered(answer: u32) -> io::Result<i64> {
    let number = u32::try_from(libc::SYS_getpriority).map_err(io::Error::other)?;
    // Load the number; go on at the next instruction if it is this one, else skip it; two answers.
    load(&[0x20, 0x15 | 1 << 24 | u64::from(number) << 32, gives(answer), gives(ALLOW)])?;
    call(libc::SYS_getpriority, &[w(0), w(0)])
}

/// Puts this process under the smallest filter that there is, which allows everything.
pub(super) fn allow_everything() -> io::Result<()> {
    load(&[gives(ALLOW)])
}

fn load(program: &[u64]) -> io::Result<()> {
    const SET_MODE_FILTER: i32 = 1;
    let header = [program.len(), ptr_of(program)];
    call(libc::SYS_prctl, &[w(libc::PR_SET_NO_NEW_PRIVS), w(1), w(0), w(0), w(0)])?;
    call(libc::SYS_seccomp, &[w(SET_MODE_FILTER), w(0), ptr(&header)]).map(drop)
}

fn gives(answer: u32) -> u64 {
    0x06 | u64::from(answer) << 32
}

fn ptr_of(program: &[u64]) -> usize {
    program.as_ptr().expose_provenance()
}
