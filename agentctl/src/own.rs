//! What the kernel says of our own process in /proc/self/status (proc_pid_status(5)).
//!
//! Not getsid(2) and getpgrp(2): where the session or the group was made outside our PID namespace (`docker exec`,
//! `unshare --pid`), they return 0, which is no process id and no value of rustix's type.

use std::fs::File;
use std::io::Read as _;

/// The text of /proc/self/status at one moment; empty where there is no /proc.
pub(crate) struct Status(String);

impl Status {
    /// In one read(2): the file has no size, and the kernel would write it anew for each further read.
    pub(crate) fn read() -> Self {
        let mut buffer = [0; 4096];
        let read = File::open("/proc/self/status").and_then(|mut file| file.read(&mut buffer));
        Self(String::from_utf8_lossy(&buffer[..read.unwrap_or(0)]).into_owned())
    }

    fn line(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
    }

    /// Bit N-1 for an ignored signal N; none when it is not known.
    pub(crate) fn ignored_signals(&self) -> u64 {
        self.line("SigIgn:").and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0)
    }

    /// Whether we lead our session: then no shell above us could continue us once we are stopped.
    ///
    /// The lines hold an id for each PID namespace down to ours, so they are equal for a leader only.
    pub(crate) fn leads_its_session(&self) -> bool {
        self.line("NSpid:").is_some_and(|ids| self.line("NSsid:") == Some(ids))
    }

    /// The number of our process group in our PID namespace; none when it was made outside.
    pub(crate) fn process_group(&self) -> Option<i32> {
        let number = self.line("NSpgid:")?.split_whitespace().next_back()?.parse().ok()?;
        (number != 0).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Status {
        Status(text.to_owned())
    }

    #[test]
    fn ignored_signals_are_read_from_proc() {
        let status = of("Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n");
        assert_eq!(status.ignored_signals(), 0x1001);
        assert_eq!(of("").ignored_signals(), 0);
    }

    #[test]
    fn a_session_from_outside_the_pid_namespace_is_led_by_nobody_in_it() {
        for (text, leads, group) in [
            ("Pid:\t7\nNSpid:\t7\nNSpgid:\t7\nNSsid:\t7\n", true, Some(7)),
            ("Pid:\t7\nNSpid:\t7\nNSpgid:\t7\nNSsid:\t0\n", false, Some(7)),
            ("Pid:\t70\nNSpid:\t70\t7\nNSpgid:\t3\t0\nNSsid:\t3\t0\n", false, None),
            ("Pid:\t70\n", false, None),
        ] {
            assert_eq!((of(text).leads_its_session(), of(text).process_group()), (leads, group), "{text:?}");
        }
    }

    #[test]
    fn our_own_status_is_known() {
        let us = rustix::process::getpid().as_raw_nonzero().to_string();
        assert_eq!(Status::read().line("Pid:"), Some(us.as_str()));
    }
}
