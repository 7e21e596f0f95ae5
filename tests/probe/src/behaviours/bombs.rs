//! Taking all there is of something: processes, memory, descriptors, output, processor time.

use std::{
    fs::{self, File},
    io::{self, Write},
    num::NonZeroUsize,
    path::Path,
    thread,
    time::Duration,
};

use super::{forever, say};
use crate::{
    params::in_initial_pid_namespace,
    syscall::{call_fd, fork, w},
};

const CHUNK: usize = 16 << 20;

/// Forks in every process for ever. Refuses on a host, which has no limit that would hold it.
pub(super) fn fork_bomb() -> io::Result<u8> {
    if in_initial_pid_namespace() {
        return Err(io::Error::other("refused: this is the host's process namespace, and nothing would hold the bomb"));
    }
    say("ready")?;
    loop {
        // Full is no reason to stop: as soon as a process ends, the next takes its place.
        if fork().is_err() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Where a memory bomb takes its memory.
#[derive(Clone, Copy)]
pub(super) enum Memory<'a> {
    /// The heap.
    Anonymous,
    /// A memfd.
    Memfd,
    /// A file in this directory.
    Tmpfs(&'a Path),
}

/// Fills `size` bytes in steps of 16 MiB, says how far it got after each, then holds them.
pub(super) fn memory_bomb(memory: Memory<'_>, size: usize) -> io::Result<u8> {
    let mut heap = Vec::new();
    let mut file = match memory {
        Memory::Anonymous => None,
        Memory::Memfd => {
            let fd = call_fd(libc::SYS_memfd_create, &[w(c"membomb"), w(0)])?;
            Some(File::options().write(true).open(format!("/proc/self/fd/{fd}"))?)
        }
        Memory::Tmpfs(directory) => {
            let path = directory.join(format!("membomb-{}", std::process::id()));
            let file = File::create_new(&path)?;
            // The memory stays as long as the descriptor, and nothing is left when the bomb is killed.
            fs::remove_file(&path)?;
            Some(file)
        }
    };
    let mut taken = 0;
    while taken < size {
        let step = CHUNK.min(size - taken);
        match &mut file {
            None => heap.push(vec![1u8; step]),
            Some(file) => file.write_all(&vec![1u8; step])?,
        }
        taken += step;
        say(&format!("took {taken}"))?;
    }
    say(&format!("holds {taken}"))?;
    // Otherwise the optimizer may see that the heap is never read and leave it out.
    std::hint::black_box(&heap);
    forever()
}

/// Opens /dev/null until that fails, says how often it worked and why it ended, then holds the descriptors.
pub(super) fn descriptor_bomb() -> io::Result<u8> {
    let mut opened = Vec::new();
    let error = loop {
        match File::open("/dev/null") {
            Ok(file) => opened.push(file),
            Err(error) => break error,
        }
    };
    say(&format!("opened {}: {error}", opened.len()))?;
    forever()
}

/// Writes to stdout as fast as it is taken: `bytes`, or without end.
pub(super) fn flood(bytes: Option<u64>) -> io::Result<u8> {
    let block = b"y\n".repeat(32 << 10);
    let mut left = bytes;
    let mut out = io::stdout().lock();
    loop {
        let part = left.map_or(block.len(), |left| block.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        if part == 0 {
            out.flush()?;
            return Ok(0);
        }
        out.write_all(&block[..part])?;
        left = left.map(|left| left - u64::try_from(part).unwrap_or(left));
    }
}

/// Keeps `threads` threads busy; as many as there are processors when that is `None`.
pub(super) fn spin(threads: Option<usize>) -> io::Result<u8> {
    let count = match threads {
        Some(count) => count,
        None => thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    for _ in 0..count {
        thread::Builder::new().spawn(|| {
            let mut turns = 0u64;
            loop {
                turns = std::hint::black_box(turns.wrapping_add(1));
            }
        })?;
    }
    say("ready")?;
    forever()
}
