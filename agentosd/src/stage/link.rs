//! The socket to a stage. Nothing here waits for a stage that does not read: that can be the doing of an agent, and the
//! daemon's threads are for all.

use rustix::io::ioctl_fionbio;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandbox::message::{Order, Received, Receiver, Report, Sending};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Most orders that wait for a stage.
const MOST_ORDERS: usize = 64;

/// Our end and the stage's; ours does not block.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    ioctl_fionbio(&ours, true)?;
    Ok((ours, theirs))
}

/// A report with its descriptors; `None` when the stage is gone.
type Reported = Option<(Report, Vec<OwnedFd>)>;

/// The socket, what of a report has come so far, and the orders that have not gone yet.
#[derive(Debug)]
pub(crate) struct Link {
    socket: UnixStream,
    receiver: Receiver,
    orders: VecDeque<Sending>,
}

impl Link {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = UnixStream::from_std(socket.into())?;
        Ok(Self { socket, receiver: Receiver::default(), orders: VecDeque::new() })
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Gives an order. What the socket does not take at once goes while [`Self::next`] is waited for.
    ///
    /// # Errors
    /// As `sendmsg(2)`; `WouldBlock` when too many orders wait, and then this one is not given. That the stage is gone is no
    /// error here: what it said last can still be read.
    pub(crate) fn order(&mut self, order: &Order, fds: Vec<OwnedFd>) -> io::Result<()> {
        if self.orders.len() >= MOST_ORDERS {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "it has not carried out what it was told before"));
        }
        self.orders.push_back(Sending::new(order, fds)?);
        // Tried at once: whether it is writable is not known before somebody has waited for it.
        send_all(&mut self.orders, self.socket.as_fd()).map(drop)
    }

    /// Waits until every order has gone.
    pub(super) async fn flushed(&mut self) -> io::Result<()> {
        while !self.orders.is_empty() {
            self.socket.writable().await?;
            self.write()?;
        }
        Ok(())
    }

    /// The next report. Safe to cancel.
    pub(crate) async fn next(&mut self) -> io::Result<Reported> {
        loop {
            let wanted =
                if self.orders.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            let ready = self.socket.ready(wanted).await?;
            if ready.is_writable() && !self.orders.is_empty() {
                self.write()?;
            }
            if ready.is_readable()
                && let Some(report) = self.read()?
            {
                return Ok(report);
            }
        }
    }

    /// One look; nothing when no report is whole.
    fn read(&mut self) -> io::Result<Option<Reported>> {
        let Self { socket, receiver, .. } = self;
        let read = socket.try_io(Interest::READABLE, || match receiver.receive::<Report>(&*socket)? {
            Received::Message(report, fds) => Ok(Some((report, fds))),
            Received::Nothing => Err(io::ErrorKind::WouldBlock.into()),
            Received::End => Ok(None),
        });
        unless_blocked(read)
    }

    fn write(&mut self) -> io::Result<()> {
        let Self { socket, orders, .. } = self;
        let written = socket.try_io(Interest::WRITABLE, || {
            if send_all(orders, socket.as_fd())? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        });
        unless_blocked(written).map(drop)
    }
}

/// Sends what the socket takes; true when nothing is left. Nobody takes what a stage that is gone was told.
fn send_all(orders: &mut VecDeque<Sending>, socket: BorrowedFd<'_>) -> io::Result<bool> {
    while let Some(first) = orders.front_mut() {
        match first.go_on(socket) {
            Ok(true) => drop(orders.pop_front()),
            Ok(false) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => orders.clear(),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn unless_blocked<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox::message::{Failure, send};

    #[tokio::test]
    async fn a_stage_that_is_gone_takes_no_order_and_has_its_last_words_read() {
        let (ours, theirs) = pair().unwrap();
        let failure = Failure::Exec { errno: 2 };
        send(theirs.as_fd(), &Report::Failed { process: 0, failure }, &[]).unwrap();
        drop(theirs);
        let mut link = Link::new(ours).unwrap();
        for _ in 0..=MOST_ORDERS {
            link.order(&Order::Served, Vec::new()).unwrap();
        }
        let said = link.next().await.unwrap();
        assert!(matches!(said, Some((Report::Failed { process: 0, .. }, _))), "{said:?}");
        assert!(link.next().await.unwrap().is_none(), "then its end");
    }

    #[tokio::test]
    async fn orders_to_a_stage_that_does_not_read_wait_and_are_bounded() {
        let (ours, _theirs) = pair().unwrap();
        let mut link = Link::new(ours).unwrap();
        let refused = (0..1_000_000).find_map(|_| link.order(&Order::Served, Vec::new()).err());
        assert_eq!(refused.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
        assert_eq!(link.orders.len(), MOST_ORDERS);
    }
}
