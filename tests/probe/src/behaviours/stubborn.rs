//! Processes that do not want to end or stop, and the traces by which a test sees that they did.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    thread,
    time::Duration,
};

use super::{catching, forever, say};
use crate::{
    params::in_initial_pid_namespace,
    syscall::{Fork, call, exit_now, fork, own_pid, ptr, ptr_mut, w, wait_for},
};

/// Appends a byte to the file at each tick, for ever.
pub(super) fn ticks(path: &Path, pause: Duration) -> io::Result<u8> {
    let mut file = appended(path)?;
    loop {
        file.write_all(b".")?;
        thread::sleep(pause);
    }
}

fn appended(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// Catches every signal that can be caught and goes on: a tick every 5 ms, and the name of each signal.
pub(super) fn trap_all(path: &Path) -> io::Result<u8> {
    let signals = catching::every_signal()?;
    let mut file = appended(path)?;
    say("ready")?;
    loop {
        writeln!(file, "tick")?;
        while let Some(signal) = signals.next(Duration::from_millis(5))? {
            writeln!(file, "caught {}", catching::name(signal))?;
        }
    }
}

/// Ticks, and has the kernel send it SIGCONT every 20 ms: a stop that is only a signal does not last.
pub(super) fn waker(path: &Path) -> io::Result<u8> {
    /// `struct sigevent` of the kernel: a value, then the signal's number and SIGEV_SIGNAL (0), then nothing.
    const EVENT: [u64; 8] = [0, libc::SIGCONT as u64, 0, 0, 0, 0, 0, 0];
    /// `struct itimerspec`: interval and first time, in seconds and nanoseconds.
    const EVERY_20_MS: [u64; 4] = [0, 20_000_000, 0, 20_000_000];
    // Caught, because the kernel parks the timer of a signal that is ignored.
    let signals = catching::every_signal()?;
    let mut timer = 0i32;
    call(libc::SYS_timer_create, &[w(libc::CLOCK_MONOTONIC), ptr(&EVENT), ptr_mut(&mut timer)])?;
    call(libc::SYS_timer_settime, &[w(timer), w(0), ptr(&EVERY_20_MS), w(0)])?;
    let mut file = appended(path)?;
    loop {
        file.write_all(b".")?;
        signals.next(Duration::from_millis(5))?;
    }
}

/// Leaves a daemon behind that ticks every 5 ms, and prints its number.
pub(super) fn daemonize(path: &Path) -> io::Result<u8> {
    // Opened first, so that a wrong path is an error that the caller sees.
    appended(path)?;
    if let Fork::Parent(child) = fork()? {
        let (_, status) = wait_for(child, 0)?;
        return Ok(u8::from(status != 0));
    }
    call(libc::SYS_setsid, &[])?;
    if let Fork::Parent(daemon) = fork()? {
        say(&format!("daemon {daemon}"))?;
        exit_now(0);
    }
    // A daemon that kept the caller's pipes would be found by them.
    let null = File::options().read(true).write(true).open("/dev/null")?;
    for standard in 0..3 {
        call(libc::SYS_dup2, &[w(std::os::fd::AsRawFd::as_raw_fd(&null)), w(standard)])?;
    }
    ticks(path, Duration::from_millis(5))
}

/// `count` processes that fork without pause; each child appends a byte and ends.
pub(super) fn forkers(count: usize, path: &Path) -> io::Result<u8> {
    let file = appended(path)?;
    for _ in 0..count {
        if let Fork::Child = fork()? {
            fork_without_pause(&file);
        }
    }
    say("ready")?;
    forever()
}

fn fork_without_pause(mut file: &File) -> ! {
    loop {
        match fork() {
            Ok(Fork::Child) => exit_now(i32::from(file.write_all(b".").is_err())),
            Ok(Fork::Parent(child)) => {
                // ECHILD cannot be: nobody else waits for it. What remains is a signal, and then the next round reaps.
                if let Err(error) = wait_for(child, 0) {
                    eprintln!("probe: wait: {error}");
                }
            }
            // At the limit of processes the others are in the way: try again.
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// A child in state T.
pub(super) fn stopped_child() -> io::Result<u8> {
    match fork()? {
        Fork::Child => {
            call(libc::SYS_kill, &[w(own_pid()), w(libc::SIGSTOP)])?;
            forever()
        }
        Fork::Parent(child) => {
            wait_for(child, libc::WUNTRACED)?;
            say(&format!("stopped {child}"))?;
            forever()
        }
    }
}

/// `count` sleeping processes with this one as the root of a binary tree.
pub(super) fn tree(count: usize) -> io::Result<u8> {
    let mut ends = [0i32; 2];
    call(libc::SYS_pipe2, &[ptr_mut(&mut ends), w(libc::O_CLOEXEC)])?;
    grow(0, count, ends[1])?;
    let mut born = 0;
    while born < count {
        call(libc::SYS_read, &[w(ends[0]), ptr_mut(&mut [0u8; 1]), w(1)])?;
        born += 1;
    }
    say(&format!("ready {count}"))?;
    forever()
}

/// Makes the two subtrees of node `index`, then tells the root that the node is there.
fn grow(index: usize, count: usize, root: i32) -> io::Result<()> {
    for child in [2 * index + 1, 2 * index + 2] {
        if child < count
            && let Fork::Child = fork()?
        {
            grow(child, count, root)?;
            forever()?;
        }
    }
    call(libc::SYS_write, &[w(root), ptr(b"x"), w(1)]).map(drop)
}

/// `count` children that have ended and are not waited for.
pub(super) fn zombies(count: usize) -> io::Result<u8> {
    for _ in 0..count {
        if let Fork::Child = fork()? {
            exit_now(0);
        }
    }
    say(&format!("ready {count}"))?;
    forever()
}

/// SIGKILL to everything that may be signalled. Refuses on a host.
pub(super) fn kill_all() -> io::Result<u8> {
    if in_initial_pid_namespace() {
        return Err(io::Error::other("refused: this is the host's process namespace"));
    }
    call(libc::SYS_kill, &[w(-1), w(libc::SIGKILL)])?;
    say("killed everyone else")?;
    Ok(0)
}
