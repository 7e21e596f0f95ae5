//! Caught signals as a stream: the handler writes the number into a pipe.

use std::{
    io,
    sync::atomic::{AtomicI32, Ordering},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::syscall::{call, ptr, ptr_mut, w};

/// The pipe's writing end; -1 before [`every_signal`].
static WRITER: AtomicI32 = AtomicI32::new(-1);
const FIRST_REAL_TIME: i32 = 34;
const LAST: i32 = 64;

/// The reading end.
pub(super) struct Signals {
    reader: i32,
}

extern "C" fn note(signal: i32) {
    let byte = u8::try_from(signal).unwrap_or(0);
    // Nothing can be done in a handler about a full pipe; the tests send a handful of signals.
    drop(call(libc::SYS_write, &[w(WRITER.load(Ordering::Relaxed)), ptr(&byte), w(1)]));
}

/// Catches every signal that can be caught, real-time ones too.
pub(super) fn every_signal() -> io::Result<Signals> {
    let mut ends = [0i32; 2];
    call(libc::SYS_pipe2, &[ptr_mut(&mut ends), w(libc::O_CLOEXEC)])?;
    WRITER.store(ends[1], Ordering::Relaxed);
    let handler = note as extern "C" fn(i32);
    for signal in (1..32).chain(FIRST_REAL_TIME..=LAST) {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP {
            // SAFETY: the handler calls write(2) only, which is async-signal-safe; errno may change, which no loop of
            // the behaviours looks at after an interruption.
            unsafe { libc::signal(signal, handler as usize) };
        }
    }
    Ok(Signals { reader: ends[0] })
}

impl Signals {
    /// The next signal, or `None` when none came within `patience`.
    pub(super) fn next(&self, patience: Duration) -> io::Result<Option<i32>> {
        let mut poll = libc::pollfd { fd: self.reader, events: libc::POLLIN, revents: 0 };
        let timeout = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        match call(libc::SYS_poll, &[ptr_mut(&mut poll), w(1), w(timeout)]) {
            Ok(0) => return Ok(None),
            // The signal that interrupted the wait is in the pipe now.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => drop(other?),
        }
        let mut byte = 0u8;
        match call(libc::SYS_read, &[w(self.reader), ptr_mut(&mut byte), w(1)]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            other => other.map(|_| Some(i32::from(byte))),
        }
    }
}

/// `SIGTERM`, or `SIGRTMIN+3`.
pub(super) fn name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) => format!("SIGRTMIN+{}", signal - FIRST_REAL_TIME),
    }
}
