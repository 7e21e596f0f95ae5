//! Bytes from one descriptor to another, one buffer's worth at a time, without ever waiting.
//!
//! A flow reads only when its buffer is empty, so that a slow reader slows the writer (back-pressure) and nothing
//! piles up here. The caller's own descriptors are shared with other programs (the shell), so their mode is left
//! alone: no O_NONBLOCK on them.

use rustix::event::PollFlags;
use rustix::fs::FileType;
use rustix::io::{Errno, ReadWriteFlags};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};

/// The buffer of one flow; the default capacity of a pipe.
const BUFFER: usize = 64 << 10;
/// What fits when poll(2) calls a terminal or pipe writable (PIPE_BUF, pipe(7)).
const CERTAIN: usize = 4 << 10;

/// How a sink is written without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It never makes us wait for a reader: regular files, /dev/null.
    Plain,
    /// RWF_NOWAIT, or its own O_NONBLOCK: EAGAIN tells that it is full. Pipes and sockets.
    Nowait,
    /// In pieces of [`CERTAIN`] bytes, each after poll(2): terminals, and pipes of kernels before 6.4.
    Pieces,
}

/// What a flow waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Bytes at the source.
    Source,
    /// Room at the sink.
    Sink,
    /// Nothing: it is over.
    Nothing,
}

/// One direction.
pub(crate) struct Flow<S, K> {
    source: Option<S>,
    sink: Option<K>,
    way: Way,
    buffer: Vec<u8>,
    written: usize,
}

impl<S: AsFd, K: AsFd> Flow<S, K> {
    /// A flow from `source` to `sink`.
    pub(crate) fn new(source: S, sink: K) -> Self {
        let kind = rustix::fs::fstat(&sink).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let way = match kind {
            Ok(FileType::RegularFile) => Way::Plain,
            Ok(FileType::CharacterDevice) if !rustix::termios::isatty(&sink) => Way::Plain,
            Ok(FileType::Fifo | FileType::Socket) => Way::Nowait,
            _ => Way::Pieces,
        };
        Self { source: Some(source), sink: Some(sink), way, buffer: Vec::new(), written: 0 }
    }

    /// What has to happen before [`Self::advance`] can do something.
    pub(crate) fn waiting(&self) -> Waiting {
        match (&self.source, &self.sink) {
            (_, None) => Waiting::Nothing,
            (_, Some(_)) if self.pending() => Waiting::Sink,
            (Some(_), _) => Waiting::Source,
            (None, _) => Waiting::Nothing,
        }
    }

    /// The descriptor to poll for, and the events to poll it for.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match self.waiting() {
            Waiting::Source => self.source.as_ref().map(|source| (source.as_fd(), PollFlags::IN)),
            Waiting::Sink => self.sink.as_ref().map(|sink| (sink.as_fd(), PollFlags::OUT)),
            Waiting::Nothing => None,
        }
    }

    /// The sink, to notice that its reader has gone while there is nothing to write.
    pub(crate) fn idle_sink(&self) -> Option<BorrowedFd<'_>> {
        self.sink.as_ref().filter(|_| !self.pending()).map(AsFd::as_fd)
    }

    /// Reads or writes once, after poll(2) said that it will not wait. `edit` sees what was read before it is written.
    ///
    /// # Errors
    /// The sink's; its reader is gone (EPIPE) or it failed. The flow is over then.
    pub(crate) fn advance(&mut self, edit: impl FnOnce(&mut Vec<u8>)) -> Result<(), Errno> {
        if self.waiting() == Waiting::Source {
            self.fill();
            edit(&mut self.buffer);
            // A terminal has said nothing yet about room.
            if self.way == Way::Pieces {
                return Ok(());
            }
        }
        self.drain()
    }

    /// Ends the flow at once; what it owned is closed.
    pub(crate) fn close(&mut self) {
        self.source = None;
        self.sink = None;
        self.buffer = Vec::new();
    }

    fn pending(&self) -> bool {
        self.written < self.buffer.len()
    }

    fn fill(&mut self) {
        let Some(source) = &self.source else { return };
        self.written = 0;
        self.buffer.resize(BUFFER, 0);
        let read = rustix::io::read(source, &mut self.buffer[..]);
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(1..) | Err(Errno::AGAIN | Errno::INTR) => {}
            // The end; or EIO, which is how a terminal ends whose other side is closed.
            Ok(0) | Err(_) => self.source = None,
        }
        self.close_when_done();
    }

    fn drain(&mut self) -> Result<(), Errno> {
        while self.pending() {
            let Some(sink) = &self.sink else { return Ok(()) };
            let rest = &self.buffer[self.written..];
            let result = match self.way {
                Way::Plain => rustix::io::write(sink, rest),
                Way::Nowait => {
                    // Offset -1 is the file's own position (pwritev2(2)).
                    rustix::io::pwritev2(sink, &[IoSlice::new(rest)], u64::MAX, ReadWriteFlags::NOWAIT)
                }
                Way::Pieces => rustix::io::write(sink, &rest[..rest.len().min(CERTAIN)]),
            };
            match result {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) if self.way == Way::Nowait => {
                    self.way = Way::Pieces;
                    break;
                }
                Err(error) => {
                    self.close();
                    return Err(error);
                }
            }
            if self.way == Way::Pieces {
                break;
            }
        }
        self.close_when_done();
        Ok(())
    }

    /// Passes the end of the source on.
    fn close_when_done(&mut self) {
        if self.source.is_none() && !self.pending() {
            self.sink = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    #[test]
    fn a_full_sink_stops_the_reading_and_loses_nothing() {
        let (source, feed) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let (result, sink) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let data: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let expected = data.clone();
        let writer = std::thread::spawn(move || {
            let mut rest = &data[..];
            while !rest.is_empty() {
                rest = &rest[rustix::io::write(&feed, rest).expect("written")..];
            }
        });
        let mut flow = Flow::new(source, sink);
        // Nobody reads: the flow has to come to rest with a full buffer instead of waiting in write(2).
        while flow.waiting() == Waiting::Source {
            flow.advance(|_| {}).expect("advanced");
        }
        assert_eq!(flow.waiting(), Waiting::Sink);

        let mut seen = Vec::new();
        let mut chunk = vec![0; 10_000];
        while seen.len() < expected.len() {
            let count = rustix::io::read(&result, &mut chunk[..]).expect("read");
            seen.extend_from_slice(&chunk[..count]);
            flow.advance(|_| {}).expect("advanced");
        }
        assert_eq!(seen, expected);
        writer.join().expect("joined");
        flow.advance(|_| {}).expect("advanced");
        assert_eq!(flow.waiting(), Waiting::Nothing);
        assert_eq!(rustix::io::read(&result, &mut chunk[..]), Ok(0), "the end was passed on");
    }

    #[test]
    fn a_reader_that_has_gone_is_an_error() {
        let (source, feed) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let (result, sink) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        drop(result);
        rustix::io::write(&feed, b"x").expect("written");
        let mut flow = Flow::new(source, sink);
        assert_eq!(flow.advance(|_| {}), Err(Errno::PIPE));
        assert_eq!(flow.waiting(), Waiting::Nothing);
    }
}
