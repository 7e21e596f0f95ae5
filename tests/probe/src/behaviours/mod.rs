//! Misbehaviour on request, for the tests of kill, stop, limits and isolation.
//!
//! Every behaviour that stays says `ready` (or what it holds) on stdout when it is in place, so that a test need not
//! guess.

mod asking;
mod bench;
mod bombs;
mod caller;
mod catching;
mod domains;
mod files;
mod filters;
mod report;
mod stubborn;
mod targets;
mod trip;
mod unanswering;
mod watch;

use std::{
    io::{self, Write},
    path::Path,
    thread,
    time::Duration,
};

use crate::{
    params::PARAMETERS,
    syscall::{call, w},
};
use bombs::Memory;

/// One subcommand.
struct Behaviour {
    name: &'static str,
    usage: &'static str,
    /// The exit code, or an error for stderr and exit code 1.
    run: fn(&[&str]) -> io::Result<u8>,
}

/// A row of the table.
const fn row(name: &'static str, usage: &'static str, run: fn(&[&str]) -> io::Result<u8>) -> Behaviour {
    Behaviour { name, usage, run }
}

const BEHAVIOURS: &[Behaviour] = &[
    row("help", "print this list", |_| help()),
    row(
        "targets",
        "DIR: hold one of everything to attack, print it as key=value words, serve until stdin ends",
        |words| targets::hold(Path::new(text(words, 0, "DIR")?)),
    ),
    row("forkbomb", "fork in every process for ever (refuses in the host's process namespace)", |_| bombs::fork_bomb()),
    row("membomb", "anon|memfd|tmpfs SIZE[K|M|G] [DIR]: take memory, say how much, hold it", membomb),
    row("fdbomb", "open /dev/null until that fails, say how often, hold them", |_| bombs::descriptor_bomb()),
    row("flood", "[BYTES]: write to stdout as fast as possible", |words| {
        bombs::flood(if words.is_empty() { None } else { Some(number(words, 0, "BYTES")?) })
    }),
    row("calls", "SOCKET large|valid|events|list N: ask that of the daemon on N connections for ever", |words| {
        caller::ask(Path::new(text(words, 0, "SOCKET")?), text(words, 1, "what")?, number(words, 2, "N")?)
    }),
    row(
        "unclosable",
        "SOCKET DIR N UID GID: as root; as that user, send N files beside calls whose close(2) waits",
        |words| {
            let user = (number(words, 3, "UID")?, number(words, 4, "GID")?);
            let (socket, directory) = (Path::new(text(words, 0, "SOCKET")?), Path::new(text(words, 1, "DIR")?));
            unanswering::hand_over(socket, directory, number(words, 2, "N")?, user)
        },
    ),
    row("ask", "SOCKET N CALL: send the call N times, print the last reply and the nanoseconds of each", |words| {
        asking::ask(Path::new(text(words, 0, "SOCKET")?), text(words, 2, "CALL")?, number(words, 1, "N")?)
    }),
    row("spin", "N: keep N threads busy", |words| bombs::spin(Some(number(words, 0, "N")?))),
    row("hog-cpu", "keep every processor busy", |_| bombs::spin(None)),
    row("trap-all", "FILE: catch every signal; append a tick every 5 ms and each signal's name", |words| {
        stubborn::trap_all(Path::new(text(words, 0, "FILE")?))
    }),
    row("waker", "FILE: append a tick every 5 ms, woken by a timer's SIGCONT every 20 ms", |words| {
        stubborn::waker(Path::new(text(words, 0, "FILE")?))
    }),
    row("daemonize", "FILE: leave a daemon (double fork, setsid) that appends a byte every 5 ms", |words| {
        stubborn::daemonize(Path::new(text(words, 0, "FILE")?))
    }),
    row("forkers", "N FILE: N processes that fork without pause; each child appends a byte and ends", |words| {
        stubborn::forkers(number(words, 0, "N")?, Path::new(text(words, 1, "FILE")?))
    }),
    row("ticks", "FILE: append a byte every millisecond", |words| {
        stubborn::ticks(Path::new(text(words, 0, "FILE")?), Duration::from_millis(1))
    }),
    row("sleep", "[SECONDS]: sleep, without a number for ever", |words| {
        if words.is_empty() {
            return forever();
        }
        thread::sleep(Duration::from_secs(number(words, 0, "SECONDS")?));
        Ok(0)
    }),
    row("stopped-child", "have a child in state T", |_| stubborn::stopped_child()),
    row("tree", "N: N sleeping processes as a binary tree", |words| stubborn::tree(number(words, 0, "N")?)),
    row("zombies", "N: N children that ended and are not waited for", |words| {
        stubborn::zombies(number(words, 0, "N")?)
    }),
    row("kill-all", "SIGKILL to everyone (refuses in the host's process namespace)", |_| stubborn::kill_all()),
    row("bench", "getpid|open|read|stat N [PATH]: print the nanoseconds of one call", |words| {
        bench::time(text(words, 0, "the call")?, number(words, 1, "N")?, words.get(2).copied())
    }),
    row("bench-filtered", "the same under the smallest filter of seccomp(2), which allows everything", |words| {
        filters::allow_everything()?;
        bench::time(text(words, 0, "the call")?, number(words, 1, "N")?, words.get(2).copied())
    }),
    row("own-filters", "be refused by filters of its own, then by the sandbox's (mount), and stay", |_| {
        filters::refusals()
    }),
    row(
        "own-domains",
        "N PATH: be refused PATH by one domain of its own, by N others, by the first again, and stay",
        |words| domains::nested(number(words, 0, "N")?, Path::new(text(words, 1, "PATH")?)),
    ),
    row("rewrite", "DIR: try every way of changing what a file in DIR holds, one line each", |words| {
        files::rewrite::rewrite(Path::new(text(words, 0, "DIR")?))
    }),
    row("shadow", "DIR: try every way of writing into DIR, hiding it or putting another in its place", |words| {
        files::shadow::shadow(Path::new(text(words, 0, "DIR")?))
    }),
    row("rename-away", "DIR: try to take DIR itself away", |words| {
        files::shadow::rename_away(Path::new(text(words, 0, "DIR")?))
    }),
    row("posix", "DIR: try what POSIX and Linux promise of files, one line each", |words| {
        files::posix::posix(Path::new(text(words, 0, "DIR")?))
    }),
    row("env", "print the environment, one NAME=VALUE a line", |_| report::environment()),
    row("status", "print /proc/self/status, mountinfo and cgroup as one JSON object", |_| report::status()),
    row("cat-fds", "print each open descriptor and its target", |_| report::descriptors()),
    row("setuid-helper", "print the effective uid and capabilities (body of the set-uid tests)", |_| {
        report::credentials()
    }),
    row("winsize", "print the terminal's ROWS COLUMNS, now and at each SIGWINCH, until SIGTERM", |_| {
        watch::window_size()
    }),
    row("echo-signals", "print the name of each caught signal, until the second SIGTERM", |_| watch::echo_signals()),
    row("trip", "MS: after so many milliseconds print CLOCK_MONOTONIC, mount something, and stay", |words| {
        trip::trip(Duration::from_millis(number(words, 0, "MS")?))
    }),
    row("exit", "N: end with exit code N", |words| number(words, 0, "N")),
    row("segv", "end by a real segmentation fault", |_| segmentation_fault()),
];

/// Runs the behaviour `name`.
pub(crate) fn start(name: &str, words: &[&str]) -> io::Result<u8> {
    match BEHAVIOURS.iter().find(|behaviour| behaviour.name == name) {
        Some(behaviour) => (behaviour.run)(words),
        None => Err(io::Error::other(format!("no such subcommand: {name}; `probe help` lists them"))),
    }
}

fn help() -> io::Result<u8> {
    let mut out = io::stdout().lock();
    writeln!(out, "probe list [--json]")?;
    for behaviour in BEHAVIOURS {
        writeln!(out, "probe {:14} {}", behaviour.name, behaviour.usage)?;
    }
    writeln!(out, "probe run ID|FAMILY|all [--json] [key=value ...], where the keys are")?;
    for (key, names) in PARAMETERS {
        writeln!(out, "  {key:16} {names}")?;
    }
    Ok(0)
}

fn membomb(words: &[&str]) -> io::Result<u8> {
    let memory = match text(words, 0, "anon, memfd or tmpfs")? {
        "anon" => Memory::Anonymous,
        "memfd" => Memory::Memfd,
        "tmpfs" => Memory::Tmpfs(Path::new(words.get(2).copied().unwrap_or("/dev/shm"))),
        other => return Err(io::Error::other(format!("{other} is none of anon, memfd, tmpfs"))),
    };
    bombs::memory_bomb(memory, size(text(words, 1, "SIZE")?)?)
}

/// `64M` and the like, in bytes.
fn size(word: &str) -> io::Result<usize> {
    let (digits, shift) = match word.as_bytes().last() {
        Some(b'K') => (&word[..word.len() - 1], 10),
        Some(b'M') => (&word[..word.len() - 1], 20),
        Some(b'G') => (&word[..word.len() - 1], 30),
        _ => (word, 0),
    };
    let parsed = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(1 << shift));
    parsed.ok_or_else(|| io::Error::other(format!("SIZE: {word} is not a number of bytes, with K, M or G")))
}

fn segmentation_fault() -> io::Result<u8> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let words = [w(0), w(4096), w(libc::PROT_NONE), w(flags), w(-1), w(0)];
    let page = usize::try_from(call(libc::SYS_mmap, &words)?).map_err(io::Error::other)?;
    // SAFETY: nothing else lies at this page, which was mapped for this fault; the write never completes.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(page).write_volatile(1) };
    Ok(0)
}

/// A line for the test that started the behaviour.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Sleeps until something ends the process.
fn forever() -> io::Result<u8> {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

/// The word at `index` as a number.
fn number<T: std::str::FromStr>(words: &[&str], index: usize, what: &str) -> io::Result<T> {
    let word = text(words, index, what)?;
    word.parse().map_err(|_| io::Error::other(format!("{what}: {word} is not a number in range")))
}

/// The word at `index`.
fn text<'a>(words: &[&'a str], index: usize, what: &str) -> io::Result<&'a str> {
    words.get(index).copied().ok_or_else(|| io::Error::other(format!("{what} is missing; see `probe help`")))
}
