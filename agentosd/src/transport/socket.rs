//! Bytes and descriptors in, bytes out, with the bounds.

use super::descriptors::Descriptors;
use protocol::wire::{Decoder, FrameError, MAX_FDS, MAX_MESSAGE, PAGE};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long a peer may take none of the bytes that wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// The peer closed it.
    #[error("the peer is gone")]
    Closed,
    /// Bytes that are no message.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// More descriptors than a message may have.
    #[error("more than {MAX_FDS} descriptors came beside one message")]
    TooManyDescriptors,
    /// Descriptors with which it cannot be told which call they belong to.
    #[error("descriptors came together with more than one call; send a call that has descriptors alone")]
    Ambiguous,
    /// The peer takes no bytes.
    #[error("the peer took none of its replies for {} seconds", PATIENCE.as_secs())]
    Stuck,
    /// The socket failed.
    #[error("the socket failed")]
    Io(#[from] io::Error),
}

/// One message as it came.
#[derive(Debug)]
pub(crate) struct Message {
    /// The bytes, without the NUL.
    pub(crate) bytes: Vec<u8>,
    /// The descriptors beside it.
    pub(crate) fds: Descriptors,
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: UnixStream,
    decoder: Decoder,
    fds: Descriptors,
}

impl Socket {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, decoder: Decoder::default(), fds: Descriptors::default() }
    }

    /// The next message. Safe to cancel: what was received stays.
    pub(crate) async fn receive(&mut self) -> Result<Message, SocketError> {
        loop {
            if let Some(bytes) = self.decoder.next_message() {
                let fds = std::mem::take(&mut self.fds);
                if !fds.is_empty() && self.decoder.pending() > 0 {
                    return Err(SocketError::Ambiguous);
                }
                return Ok(Message { bytes, fds });
            }
            self.fill().await?;
        }
    }

    /// Returns when the peer is gone, or breaks the rules, while a reply is prepared for it. Safe to cancel.
    pub(crate) async fn closed(&mut self) -> SocketError {
        loop {
            // Calls that wait behind the present one are kept, within the bound of one message.
            if self.decoder.pending() > MAX_MESSAGE {
                return SocketError::Frame(FrameError::TooLong);
            }
            if let Err(error) = self.fill().await {
                return error;
            }
        }
    }

    async fn fill(&mut self) -> Result<(), SocketError> {
        let Self { stream, decoder, fds } = self;
        let mut chunk = vec![0; PAGE];
        let count = stream.async_io(Interest::READABLE, || receive_once(stream, &mut chunk, fds)).await??;
        if count == 0 {
            return Err(SocketError::Closed);
        }
        Ok(decoder.push(&chunk[..count])?)
    }

    /// Sends all of it, unless the peer stops taking bytes; a descriptor goes with the first of them.
    pub(crate) async fn send(&mut self, mut bytes: &[u8], mut fd: Option<BorrowedFd<'_>>) -> Result<(), SocketError> {
        while !bytes.is_empty() {
            let once = || send_once(&self.stream, bytes, fd);
            let sent = timeout(PATIENCE, self.stream.async_io(Interest::WRITABLE, once));
            match sent.await.map_err(|_| SocketError::Stuck)? {
                Ok(count) => {
                    bytes = &bytes[count..];
                    fd = None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(SocketError::Closed),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn send_once(stream: &UnixStream, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if fd.is_some() && !ancillary.push(SendAncillaryMessage::ScmRights(fd.as_slice())) {
        return Err(io::Error::other("there is no room for a descriptor"));
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// One recvmsg(2). The outer error makes the caller wait, the inner one ends the connection.
fn receive_once(
    stream: &UnixStream,
    chunk: &mut [u8],
    fds: &mut Descriptors,
) -> io::Result<Result<usize, SocketError>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(stream, &mut [IoSliceMut::new(chunk)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
    for item in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = item {
            fds.extend(more);
        }
    }
    match received {
        // The kernel closes what did not fit; the call's descriptors are not whole then.
        Ok(got) if got.flags.contains(ReturnFlags::CTRUNC) || fds.len() > MAX_FDS => {
            Ok(Err(SocketError::TooManyDescriptors))
        }
        Ok(got) => Ok(Ok(got.bytes)),
        Err(rustix::io::Errno::CONNRESET) => Ok(Ok(0)),
        Err(error) => Err(error.into()),
    }
}
