//! The socket to a stage.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::ioctl_fionbio;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandbox::message::{Order, Received, Receiver, Report, send};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Our end and the stage's; ours does not block.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    ioctl_fionbio(&ours, true)?;
    Ok((ours, theirs))
}

/// Sends an order, waiting while the stage is busy.
pub(super) fn send_blocking(socket: BorrowedFd<'_>, order: &Order, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    loop {
        match send(socket, order, fds) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::OUT)], None)?;
            }
            other => return other,
        }
    }
}

/// The socket, and what of a report has come so far.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Arc<UnixStream>,
    receiver: Receiver,
}

/// The sending half, for a thread that may block.
#[derive(Clone, Debug)]
pub(crate) struct Orders(Arc<UnixStream>);

impl Orders {
    /// Sends an order, waiting while the stage is busy.
    pub(crate) fn send(&self, order: &Order, fds: &[OwnedFd]) -> io::Result<()> {
        let fds: Vec<_> = fds.iter().map(OwnedFd::as_fd).collect();
        send_blocking(self.0.as_fd(), order, &fds)
    }
}

impl Link {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = UnixStream::from_std(socket.into())?;
        Ok(Self { socket: Arc::new(socket), receiver: Receiver::default() })
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The sending half.
    pub(crate) fn orders(&self) -> Orders {
        Orders(Arc::clone(&self.socket))
    }

    /// The next report with its descriptors; `None` when the stage is gone. Safe to cancel.
    pub(crate) async fn next(&mut self) -> io::Result<Option<(Report, Vec<OwnedFd>)>> {
        let Self { socket, receiver } = self;
        socket
            .async_io(Interest::READABLE, || match receiver.receive::<Report>(&**socket)? {
                Received::Message(report, fds) => Ok(Some((report, fds))),
                Received::Nothing => Err(io::ErrorKind::WouldBlock.into()),
                Received::End => Ok(None),
            })
            .await
    }
}
