//! The caller's terminal: raw mode and back, its size, and whether it is ours to read.

use crate::failure::Failure;
use crate::own::Status;
use protocol::control::Window;
use rustix::io::Errno;
use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};

/// Whether standard input is a terminal.
pub(crate) fn input_is_terminal() -> bool {
    isatty(stdin())
}

/// The size of the terminal on standard input; 24 by 80 when there is none, as terminals have it by default.
pub(crate) fn window() -> Window {
    match tcgetwinsize(stdin()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => Window { rows: size.ws_row, cols: size.ws_col },
        _ => Window { rows: 24, cols: 80 },
    }
}

/// Whether the terminal on standard input is ours: we are its foreground job, or it has no jobs.
///
/// A background job that reads or sets its terminal is stopped by the kernel (SIGTTIN, SIGTTOU).
pub(crate) fn in_foreground() -> bool {
    match tcgetpgrp(stdin()) {
        Ok(group) => Status::read().process_group() == Some(group.as_raw_nonzero().get()),
        // Not our controlling terminal: no job control, everyone may read.
        Err(Errno::NOTTY) => true,
        // The kernel says EOPNOTSUPP, which rustix makes of a group number 0: the foreground job is in another pid
        // namespace than ours. It may still be our own group, made outside.
        Err(_) => Status::read().process_group().is_none(),
    }
}

/// The terminal on standard input, lent: restored when this is dropped, on a panic too.
pub(crate) struct RawTerminal {
    original: Termios,
    raw: bool,
}

impl RawTerminal {
    /// Takes note of the present mode, without changing it.
    pub(crate) fn borrow() -> Result<Self, Failure> {
        let original = tcgetattr(stdin()).map_err(Failure::os("read the terminal's mode"))?;
        Ok(Self { original, raw: false })
    }

    /// Raw mode: every key goes to the agent's terminal, which has a line discipline of its own. True when that is new.
    pub(crate) fn make_raw(&mut self) -> Result<bool, Failure> {
        if self.raw {
            return Ok(false);
        }
        let mut mode = self.original.clone();
        mode.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &mode).map_err(Failure::os("put the terminal into raw mode"))?;
        self.raw = true;
        Ok(true)
    }

    /// Back to the mode that was found. An error is left alone: the terminal is gone then, and nothing can be said on it.
    pub(crate) fn restore(&mut self) {
        if self.raw && in_foreground() {
            self.raw = tcsetattr(stdin(), OptionalActions::Now, &self.original).is_err();
        }
    }

    /// Says that someone else (the shell, while we were stopped) may have set the mode since.
    pub(crate) fn forget(&mut self) {
        self.raw = false;
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        self.restore();
    }
}
