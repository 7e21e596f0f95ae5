//! Landlock domains of a process's own, which refuse in its own name.

use std::{fs::File, io, path::Path};

use super::{forever, say};
use crate::syscall::{Fork, call, call_fd, exit_now, fork, ptr, ptr_mut, w, wait_for};

const READ_FILE: u64 = 1 << 2;

/// Is refused `path` by a domain of its own, then by `others` more (a child each), then by the first again.
pub(super) fn nested(others: usize, path: &Path) -> io::Result<u8> {
    say(&format!("outside: {:?}", File::open(path).map(drop)))?;
    let mut ends = [0i32; 2];
    call(libc::SYS_pipe2, &[ptr_mut(&mut ends), w(libc::O_CLOEXEC)])?;
    let first = match fork()? {
        Fork::Child => exit_now(i32::from(refused_twice(path, ends[0]).is_err())),
        Fork::Parent(child) => child,
    };
    for _ in 0..others {
        match fork()? {
            Fork::Child => exit_now(i32::from(refused(path).is_err())),
            Fork::Parent(child) => drop(wait_for(child, 0)?),
        }
    }
    call(libc::SYS_write, &[w(ends[1]), ptr(&0u8), w(1)])?;
    wait_for(first, 0)?;
    say("done")?;
    forever()
}

fn refused_twice(path: &Path, turn: i32) -> io::Result<()> {
    refused(path)?;
    let mut byte = 0u8;
    call(libc::SYS_read, &[w(turn), ptr_mut(&mut byte), w(1)])?;
    say(&format!("again: {:?}", File::open(path).map(drop)))
}

/// Makes a domain that grants no file, and asks for one.
fn refused(path: &Path) -> io::Result<()> {
    let attributes = [READ_FILE, 0, 0];
    let rules = call_fd(libc::SYS_landlock_create_ruleset, &[ptr(&attributes), w(8), w(0)])?;
    call(libc::SYS_landlock_restrict_self, &[w(rules), w(0)])?;
    match File::open(path) {
        Ok(_) => Err(io::Error::other("the domain refuses nothing")),
        Err(_) => Ok(()),
    }
}
