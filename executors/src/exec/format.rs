//! What the kernel starts for a file: interpreters by `#!`, a loader by the program's own header.
//!
//! As `fs/binfmt_script.c` and `fs/binfmt_elf.c` read them. What is neither is refused: the C library would hand it to a shell.

use super::lookup::{self, Found};
use crate::descriptors::{bytes, reopen};
use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// How many interpreters of interpreters the kernel starts.
const DEEPEST: usize = 4;
/// `BINPRM_BUF_SIZE`: of a first line, what the kernel reads.
const FIRST: usize = 256;
/// `PATH_MAX`.
const LONGEST_PATH: u64 = 4096;
/// Most program headers that are looked at.
const MOST_HEADERS: u16 = 1024;
const PT_INTERP: u64 = 3;

/// What is started for a program besides itself.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Of a script, and so on until one is a program.
    pub(super) interpreters: Vec<Found>,
    /// Of the last.
    pub(super) loader: Option<Found>,
}

impl Chain {
    /// Follows it, from `directory` where a path is relative.
    pub(super) fn of(program: &Found, directory: impl AsFd) -> Outcome<Self> {
        let mut chain = Self::default();
        loop {
            let last = chain.interpreters.last().unwrap_or(program);
            let failed = |errno| Refusal::errno(errno, &format!("read program {:?}", last.path));
            let file = reopen(&last.file, OFlags::RDONLY).map_err(failed)?;
            let head = bytes(&file, 0, FIRST).map_err(failed)?;
            match interpreter(&head) {
                Some(_) if chain.interpreters.len() == DEEPEST => {
                    return Err(unstartable(
                        last,
                        "has interpreters that have interpreters, more than the kernel follows",
                    ));
                }
                Some(path) => {
                    let next = lookup::open(path, &directory)?;
                    chain.interpreters.push(next);
                }
                None if head.starts_with(b"\x7fELF") => {
                    let loader = loader(&file, &head).map_err(|what| unstartable(last, what))?;
                    let loader = loader.map(|path| lookup::open(Path::new(OsStr::from_bytes(&path)), &directory));
                    chain.loader = loader.transpose()?;
                    return Ok(chain);
                }
                None => {
                    return Err(unstartable(last, "is neither an ELF program nor a script that names its interpreter"));
                }
            }
        }
    }
}

fn unstartable(found: &Found, what: &str) -> Refusal {
    Refusal::new(RefusalReason::HostRefused, format!("{:?} {what}", found.path))
}

/// The interpreter that a script's first line names.
fn interpreter(head: &[u8]) -> Option<&Path> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n' || *byte == 0).next()?;
    let name = line.split(|byte| *byte == b' ' || *byte == b'\t').find(|word| !word.is_empty())?;
    Some(Path::new(OsStr::from_bytes(name)))
}

/// The loader that an ELF program names; none when it is linked statically.
fn loader(file: &OwnedFd, head: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    const BROKEN: &str = "has a broken ELF header";
    let wide = match head.get(4..6) {
        Some([2, 1]) => true,
        Some([1, 1]) => false,
        _ => return Err("is an ELF program for other machines"),
    };
    let field = |bytes: &[u8], at: (usize, usize), of: (usize, usize)| {
        let (at, length) = if wide { at } else { of };
        let bytes = bytes.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let start = field(head, (32, 8), (28, 4)).ok_or(BROKEN)?;
    let size = field(head, (54, 2), (42, 2)).ok_or(BROKEN)?;
    let count = field(head, (56, 2), (44, 2)).ok_or(BROKEN)?.min(u64::from(MOST_HEADERS));
    let read = |at, length: u64| bytes(file, at, usize::try_from(length).unwrap_or(0)).map_err(|_| BROKEN);
    for number in 0..count {
        let header = read(start.saturating_add(number * size), size)?;
        if field(&header, (0, 4), (0, 4)) != Some(PT_INTERP) {
            continue;
        }
        let at = field(&header, (8, 8), (4, 4)).ok_or(BROKEN)?;
        let length = field(&header, (32, 8), (16, 4)).ok_or(BROKEN)?;
        let path = read(at, length.min(LONGEST_PATH))?;
        return Ok(path.split(|byte| *byte == 0).next().map(<[u8]>::to_vec));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_is_read_as_the_kernel_reads_it() {
        let found = |head: &'static [u8]| interpreter(head).map(|path| path.to_str().unwrap());
        assert_eq!(found(b"#!/bin/sh -e\necho"), Some("/bin/sh"));
        assert_eq!(found(b"#! \t/usr/bin/env node\n"), Some("/usr/bin/env"));
        assert_eq!(found(b"#!/bin/sh"), Some("/bin/sh"));
        assert_eq!(found(b"#!\n/bin/sh"), None);
        assert_eq!(found(b" #!/bin/sh"), None);
        assert_eq!(found(b""), None);
    }

    #[test]
    fn a_header_that_lies_is_refused_and_breaks_nothing() {
        let file = OwnedFd::from(std::fs::File::open(std::env::current_exe().unwrap()).unwrap());
        let head = bytes(&file, 0, FIRST).unwrap();
        for at in 0..64 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = head.clone();
                changed[at] = value;
                // Whatever it says, the answer comes and is short.
                if let Ok(Some(path)) = loader(&file, &changed) {
                    assert!(path.len() <= 4096, "byte {at} as {value}");
                }
                assert!(loader(&file, &changed[..at]).is_err() || at > 57);
            }
        }
    }
}
