//! The cost of one system call, to be compared inside and outside.

use std::{ffi::CString, io, time::Instant};

use super::say;
use crate::syscall::{call, open, ptr_mut, w};

/// Makes the call `count` times and prints the nanoseconds of one. `open` is an open and a close.
pub(super) fn time(what: &str, count: u32, path: Option<&str>) -> io::Result<u8> {
    let default = if what == "read" { "/dev/zero" } else { "/dev/null" };
    let path = CString::new(path.unwrap_or(default))?;
    let mut byte = [0u8; 1];
    let mut status = [0u64; 18];
    let source = open(&path, libc::O_RDONLY)?;
    let mut one = || -> io::Result<i64> {
        match what {
            "getpid" => call(libc::SYS_getpid, &[]),
            "open" => call(libc::SYS_close, &[w(open(&path, libc::O_RDONLY)?)]),
            "read" => call(libc::SYS_read, &[w(source), ptr_mut(&mut byte), w(1)]),
            "stat" => call(libc::SYS_newfstatat, &[w(libc::AT_FDCWD), w(path.as_c_str()), ptr_mut(&mut status), w(0)]),
            _ => Err(io::Error::other(format!("{what} is none of getpid, open, read, stat"))),
        }
    };
    let start = Instant::now();
    for _ in 0..count {
        one()?;
    }
    let nanoseconds = start.elapsed().as_secs_f64() * 1e9 / f64::from(count.max(1));
    say(&format!("{nanoseconds:.1}")).map(|()| 0)
}
