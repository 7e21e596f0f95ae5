//! A forbidden act at a known moment.

use std::{io, thread, time::Duration};

use super::say;
use crate::syscall::{call, ptr_mut, w};

/// Waits, prints the nanoseconds of `CLOCK_MONOTONIC`, tries to mount something, and stays.
pub(super) fn trip(pause: Duration) -> io::Result<u8> {
    thread::sleep(pause);
    // The moment is said before the act, after which there may be no time left; writing it belongs to what is measured.
    let mut now = [0i64; 2];
    call(libc::SYS_clock_gettime, &[w(libc::CLOCK_MONOTONIC), ptr_mut(&mut now)])?;
    say(&format!("{}", i128::from(now[0]) * 1_000_000_000 + i128::from(now[1])))?;
    let refused = call(libc::SYS_mount, &[w(c"none"), w(c"/tmp"), w(c"tmpfs"), w(0), w(0)]);
    say(&format!("mount: {refused:?}"))?;
    super::forever()
}
