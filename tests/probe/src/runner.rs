//! Runs one primitive in a child of its own and turns what happened into an outcome.
//!
//! ```text
//!   runner ──fork──► child: attempt ──one JSON line──► pipe
//!     └── waits 5 s: line read → that outcome; SIGSYS or SIGKILL → killed; nothing → error
//! ```

use std::{
    fs, io,
    time::{Duration, Instant},
};

use crate::{
    outcome::{Outcome, Verdict},
    params::Params,
    primitive::Primitive,
    syscall::{Fork, call, exit_now, fork, ptr, ptr_mut, w, wait_for},
};

/// PIPE_BUF: one write of the child up to this arrives whole, so one read takes it.
const LINE_LIMIT: usize = 4096;
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The child's way to say that the machine has no such thing, from where it cannot write a line (a signal handler).
pub(crate) const EXIT_ABSENT: i32 = 77;

/// Tries `primitive` and waits for its end.
pub(crate) fn run(primitive: &Primitive, params: &Params) -> Outcome {
    attempt(primitive, params).unwrap_or_else(|error| Outcome::plain(Verdict::Error, format!("runner: {error}")))
}

fn attempt(primitive: &Primitive, params: &Params) -> io::Result<Outcome> {
    let mut ends = [0i32; 2];
    call(libc::SYS_pipe2, &[ptr_mut(&mut ends), w(libc::O_CLOEXEC)])?;
    let [reader, writer] = ends;
    match fork()? {
        Fork::Child => {
            let outcome = Outcome::judge((primitive.run)(params), primitive.denials);
            let line = serde_json::to_vec(&outcome).unwrap_or_default();
            let written = call(libc::SYS_write, &[w(writer), ptr(line.as_slice()), w(line.len())]);
            exit_now(i32::from(written.is_err()));
        }
        Fork::Parent(child) => {
            call(libc::SYS_close, &[w(writer)])?;
            let deadline = Instant::now() + TIME_LIMIT;
            let line = read_line(reader, deadline)?;
            let status = end_of(child, deadline)?;
            call(libc::SYS_close, &[w(reader)])?;
            remove_scratch(params, child);
            Ok(conclude(&line, status))
        }
    }
}

/// What the child reported; empty when it died or said nothing in time.
fn read_line(reader: i32, deadline: Instant) -> io::Result<Vec<u8>> {
    let left = deadline.saturating_duration_since(Instant::now()).as_millis();
    let mut poll = libc::pollfd { fd: reader, events: libc::POLLIN, revents: 0 };
    let timeout = i32::try_from(left).unwrap_or(i32::MAX);
    if call(libc::SYS_poll, &[ptr_mut(&mut poll), w(1), w(timeout)])? == 0 {
        return Ok(Vec::new());
    }
    let mut line = vec![0u8; LINE_LIMIT];
    let length = call(libc::SYS_read, &[w(reader), ptr_mut(line.as_mut_slice()), w(LINE_LIMIT)])?;
    line.truncate(usize::try_from(length).unwrap_or(0));
    Ok(line)
}

/// The child's wait status; it is killed at the deadline, which gives `None`.
fn end_of(child: i32, deadline: Instant) -> io::Result<Option<i32>> {
    loop {
        let (found, status) = wait_for(child, libc::WNOHANG | libc::__WALL)?;
        if found == child && !libc::WIFSTOPPED(status) {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            call(libc::SYS_kill, &[w(child), w(libc::SIGKILL)])?;
            wait_for(child, libc::__WALL)?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn conclude(line: &[u8], status: Option<i32>) -> Outcome {
    if let Ok(outcome) = serde_json::from_slice(line) {
        return outcome;
    }
    match status {
        None => Outcome::plain(Verdict::Error, "no answer within 5 s"),
        Some(status) if libc::WIFSIGNALED(status) => {
            let signal = libc::WTERMSIG(status);
            let name = nix::sys::signal::Signal::try_from(signal).map_or("an unknown signal", |known| known.as_str());
            let verdict = match signal {
                libc::SIGSYS | libc::SIGKILL => Verdict::Killed,
                _ => Verdict::Error,
            };
            Outcome::plain(verdict, format!("died of {name}"))
        }
        Some(status) if libc::WEXITSTATUS(status) == EXIT_ABSENT => {
            Outcome::plain(Verdict::Absent, "this machine has no such entry into the kernel")
        }
        Some(status) => Outcome::plain(Verdict::Error, format!("ended silently with {}", libc::WEXITSTATUS(status))),
    }
}

/// Every name that an attempt may leave in its scratch directory.
const LEFTOVERS: &[&str] = &["from", "to", "node", "file", "link"];

/// Attempts that made a scratch directory may have been killed before tidying up. Never recursive: should a mount of
/// `/` be left there by a sandbox that allowed it, this must not delete through it.
fn remove_scratch(params: &Params, child: i32) {
    let path = params.scratch_path().with_file_name(format!("probe-scratch-{child}"));
    if !path.exists() {
        return;
    }
    let removed = LEFTOVERS
        .iter()
        .map(|name| path.join(name))
        .filter(|entry| entry.symlink_metadata().is_ok())
        .try_for_each(|entry| if entry.is_dir() { fs::remove_dir(entry) } else { fs::remove_file(entry) })
        .and_then(|()| fs::remove_dir(&path));
    if let Err(error) = removed {
        eprintln!("probe: failed to remove {}: {error}", path.display());
    }
}
