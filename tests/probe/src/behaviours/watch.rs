//! Programs that say what reaches them: signals and the size of the terminal.

use std::{io, time::Duration};

use super::{catching, say};
use crate::syscall::{call, ptr_mut, w};

const LONG: Duration = Duration::from_secs(3600);

/// Prints the name of each caught signal; the second SIGTERM ends it with exit code 0.
pub(super) fn echo_signals() -> io::Result<u8> {
    let signals = catching::every_signal()?;
    say("ready")?;
    let mut terms = 0;
    while terms < 2 {
        if let Some(signal) = signals.next(LONG)? {
            say(&catching::name(signal))?;
            terms += u32::from(signal == libc::SIGTERM);
        }
    }
    Ok(0)
}

/// Prints the terminal's size as `ROWS COLUMNS`, now and at each SIGWINCH; SIGTERM, SIGINT or SIGHUP ends it.
pub(super) fn window_size() -> io::Result<u8> {
    let signals = catching::every_signal()?;
    loop {
        let mut size = [0u16; 4];
        call(libc::SYS_ioctl, &[w(0), w(libc::TIOCGWINSZ), ptr_mut(&mut size)])?;
        say(&format!("{} {}", size[0], size[1]))?;
        loop {
            match signals.next(LONG)? {
                Some(libc::SIGWINCH) => break,
                Some(libc::SIGTERM | libc::SIGINT | libc::SIGHUP) => return Ok(0),
                _ => {}
            }
        }
    }
}
