//! How messages travel: a length, JSON, and descriptors beside the first byte.

use super::{MAX_FDS, MAX_MESSAGE};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A message on its way, for a sender that must not wait.
#[derive(Debug)]
pub struct Sending {
    bytes: Vec<u8>,
    sent: usize,
    /// They go with the first byte and are closed then.
    fds: Vec<OwnedFd>,
}

impl Sending {
    /// A message of which nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidInput` when the message is too long or has too many descriptors.
    pub fn new<T: Serialize>(message: &T, fds: Vec<OwnedFd>) -> io::Result<Self> {
        if fds.len() > MAX_FDS {
            return Err(too_large());
        }
        Ok(Self { bytes: encoded(message)?, sent: 0, fds })
    }

    /// Sends what the socket takes at once, whether it blocks or not; true when all is sent.
    ///
    /// # Errors
    /// As `sendmsg(2)`.
    pub fn go_on(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        while self.sent < self.bytes.len() {
            let fds: Vec<_> = self.fds.iter().map(OwnedFd::as_fd).collect();
            match send_some(socket, &self.bytes[self.sent..], &fds, SendFlags::DONTWAIT) {
                Ok(sent) => {
                    self.sent += sent;
                    self.fds.clear();
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// Sends a message with descriptors, and waits while the socket takes no more.
///
/// # Errors
/// As `sendmsg(2)`; `InvalidInput` when the message is too long or has too many descriptors.
pub fn send<T: Serialize>(socket: BorrowedFd<'_>, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > MAX_FDS {
        return Err(too_large());
    }
    let (bytes, mut fds) = (encoded(message)?, fds);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        match send_some(socket, rest, fds, SendFlags::empty()) {
            Ok(sent) => (rest, fds) = (&rest[sent..], &[]),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => wait_writable(socket)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a stage message is too large")
}

fn encoded<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).map_err(io::Error::other)?;
    let length = bytes.len() - 4;
    if length > MAX_MESSAGE {
        return Err(too_large());
    }
    bytes[..4].copy_from_slice(&u32::try_from(length).map_err(io::Error::other)?.to_le_bytes());
    Ok(bytes)
}

fn send_some(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(rustix::io::Errno::INVAL);
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags | SendFlags::NOSIGNAL)
}

fn wait_writable(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut fds = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::OUT)];
    rustix::event::poll(&mut fds, None)?;
    Ok(())
}

/// Puts received bytes together to messages.
#[derive(Debug, Default)]
pub struct Receiver {
    buffer: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// What one look at the socket gave.
#[derive(Debug)]
pub enum Received<T> {
    /// A whole message and its descriptors.
    Message(T, Vec<OwnedFd>),
    /// Nothing whole yet (a non-blocking socket).
    Nothing,
    /// The other side is gone.
    End,
}

impl Receiver {
    /// Reads until a message is whole, the socket has nothing more, or its end.
    ///
    /// # Errors
    /// As `recvmsg(2)`; `InvalidData` when the bytes are no message, after which the socket is of no use.
    pub fn receive<T: DeserializeOwned>(&mut self, socket: impl AsFd) -> io::Result<Received<T>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Received::Message(message, std::mem::take(&mut self.fds)));
            }
            // Never past the present message: the next one's descriptors come with its first byte.
            let missing = self.missing();
            let start = self.buffer.len();
            self.buffer.resize(start + missing, 0);
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let result = recvmsg(
                &socket,
                &mut [IoSliceMut::new(&mut self.buffer[start..])],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            );
            self.buffer.truncate(start + result.as_ref().map_or(0, |got| got.bytes));
            for item in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = item {
                    self.fds.extend(fds);
                }
            }
            match result {
                Ok(got) if got.bytes == 0 => return Ok(Received::End),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(Received::Nothing),
                Err(rustix::io::Errno::CONNRESET) => return Ok(Received::End),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn length(&self) -> Option<usize> {
        let bytes: [u8; 4] = self.buffer.get(..4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    fn missing(&self) -> usize {
        match self.length() {
            None => 4 - self.buffer.len(),
            Some(length) => (4 + length - self.buffer.len()).min(64 << 10),
        }
    }

    fn take<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(length) = self.length() else { return Ok(None) };
        if length > MAX_MESSAGE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a stage message is too long"));
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        let message = serde_json::from_slice(&self.buffer[4..]).map_err(io::Error::other)?;
        self.buffer.clear();
        Ok(Some(message))
    }
}
#[cfg(test)]
mod tests {
    use super::super::{Order, Process};
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn a_message_that_does_not_fit_waits_for_its_reader_and_not_its_sender() {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let what = Process {
            argv: vec!["x".repeat(3 << 20)],
            env: Vec::new(),
            cwd: "/".into(),
            terminal: None,
            attached: false,
            keep_stdin: false,
        };
        let mut sending = Sending::new(&Order::Spawn { process: 1, what }, vec![b.try_clone().unwrap()]).unwrap();
        assert!(!sending.go_on(a.as_fd()).unwrap(), "the socket is full");
        assert!(sending.fds.is_empty(), "sent with the first bytes");
        let reader = std::thread::spawn(move || match Receiver::default().receive(&b).unwrap() {
            Received::Message(Order::Spawn { what, .. }, fds) => (what.argv[0].len(), fds.len()),
            other => panic!("{other:?}"),
        });
        while !sending.go_on(a.as_fd()).unwrap() {
            wait_writable(a.as_fd()).unwrap();
        }
        assert_eq!(reader.join().unwrap(), (3 << 20, 1));
    }

    #[test]
    fn a_message_keeps_its_own_descriptors() {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let first = Order::Detach { process: 1 };
        let second = Order::Attach { process: 2 };
        send(a.as_fd(), &first, &[]).unwrap();
        send(a.as_fd(), &second, &[a.as_fd(), b.as_fd()]).unwrap();
        let mut receiver = Receiver::default();
        let Received::Message(Order::Detach { process: 1 }, fds) = receiver.receive(&b).unwrap() else { panic!() };
        assert_eq!(fds.len(), 0);
        let Received::Message(Order::Attach { process: 2 }, fds) = receiver.receive(&b).unwrap() else { panic!() };
        assert_eq!(fds.len(), 2);
        drop(a);
        // The end is seen only when the descriptors that came over are gone too.
        drop(fds);
        assert!(matches!(receiver.receive::<Order>(&b).unwrap(), Received::End));
    }
}
