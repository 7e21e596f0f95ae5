//! The connection to `agentos-vfs`: one packet an order, and answers in the order of the orders.

use protocol::vfs::{Answer, MAX_MESSAGE, MountId, Order};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, sendmsg, socket_with,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// Orders that may wait to be sent.
const QUEUE: usize = 256;

/// An order on its way.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) order: Order,
    pub(super) fds: Vec<OwnedFd>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Where orders go.
pub(super) type Asks = mpsc::Sender<Ask>;

/// Connects to a server that listens; does not wait.
pub(super) fn reach(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// A connection that carries orders.
#[derive(Debug)]
pub(super) struct Connection {
    /// Where they go.
    pub(super) asks: Asks,
    /// Mounts that have ended, ordered or not.
    pub(super) ended: mpsc::UnboundedReceiver<MountId>,
    /// Ends with the connection, and says why.
    pub(super) task: tokio::task::JoinHandle<io::Error>,
}

/// Starts to carry orders over a socket.
pub(super) fn start(socket: OwnedFd) -> io::Result<Connection> {
    // Of tokio's socket only the readiness is used; what is read and written are packets.
    let socket = UnixStream::from_std(socket.into())?;
    let (asks, queue) = mpsc::channel(QUEUE);
    // As many at most as there are mounts: the server is trusted.
    let (news, ended) = mpsc::unbounded_channel();
    Ok(Connection { asks, ended, task: tokio::spawn(run(socket, queue, news)) })
}

/// Until the connection ends, and why it did. Whoever waits for an answer then hears that none comes.
async fn run(socket: UnixStream, mut queue: mpsc::Receiver<Ask>, news: mpsc::UnboundedSender<MountId>) -> io::Error {
    let mut waiting: VecDeque<oneshot::Sender<Answer>> = VecDeque::new();
    let mut buffer = vec![0; MAX_MESSAGE];
    // What the server says is read while an order is on its way: it may not have room for the one before it has been rid
    // of the other.
    let mut leaving: Option<(Vec<u8>, Vec<OwnedFd>)> = None;
    loop {
        let carried = tokio::select! {
            answer = socket.async_io(Interest::READABLE, || receive(socket.as_fd(), &mut buffer)) => {
                answer.and_then(|answer| match answer {
                    // Without the keeper there soon is no connection.
                    Answer::Ended { mount } => { news.send(mount).unwrap_or(()); Ok(()) }
                    answer => match waiting.pop_front() {
                        // Whoever asked may have lost patience.
                        Some(asked) => { asked.send(answer).unwrap_or(()); Ok(()) }
                        None => Err(io::Error::other("agentos-vfs answered what nobody had asked")),
                    }
                })
            }
            sent = go_on(&socket, leaving.as_ref()), if leaving.is_some() => {
                leaving = None;
                sent
            }
            ask = queue.recv(), if leaving.is_none() => match ask {
                Some(Ask { order, fds, answer }) => {
                    waiting.push_back(answer);
                    packet(&order).map(|text| leaving = Some((text, fds)))
                }
                None => return io::Error::other("the daemon has closed it"),
            },
        };
        if let Err(error) = carried {
            return error;
        }
    }
}

fn packet(order: &Order) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(order).map_err(io::Error::other)?;
    if text.len() > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an order to agentos-vfs is too long"));
    }
    Ok(text)
}

/// Sends a packet, when there is room: the server reads one order after the other. Safe to cancel.
async fn go_on(socket: &UnixStream, packet: Option<&(Vec<u8>, Vec<OwnedFd>)>) -> io::Result<()> {
    let Some((text, fds)) = packet else { return Ok(()) };
    socket.async_io(Interest::WRITABLE, || send(socket.as_fd(), text, fds)).await
}

fn send(socket: BorrowedFd<'_>, text: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(protocol::vfs::MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let borrowed: Vec<_> = fds.iter().map(OwnedFd::as_fd).collect();
    if !borrowed.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors beside an order"));
    }
    sendmsg(socket, &[IoSlice::new(text)], &mut ancillary, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Answer> {
    let mut none = RecvAncillaryBuffer::default();
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut none, flags)?;
    match buffer.get(..got.bytes) {
        None | Some([]) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "agentos-vfs has closed the connection")),
        Some(text) => serde_json::from_slice(text).map_err(io::Error::other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::socketpair;
    use std::time::Duration;

    const ORDERS: usize = 2000;

    /// As the server does when a thousand mounts end at once: each is told of, and nothing is read before there was room.
    fn talkative(socket: &OwnedFd) {
        let say = |answer: &Answer| {
            let text = serde_json::to_vec(answer).unwrap();
            rustix::net::send(socket, &text, SendFlags::NOSIGNAL).unwrap();
        };
        let mut buffer = vec![0; MAX_MESSAGE];
        for number in 0..ORDERS {
            for half in 0..4 {
                say(&Answer::Ended { mount: MountId(format!("{number}-{half}")) });
            }
            let (length, _) = rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty()).unwrap();
            assert!(length > 0);
            say(&Answer::Done);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_has_much_to_say_before_it_reads_is_heard() {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        rustix::io::ioctl_fionbio(&ours, true).unwrap();
        let server = std::thread::spawn(move || talkative(&theirs));
        let Connection { asks, mut ended, task } = start(ours).unwrap();
        let all = async {
            let mut answers = Vec::new();
            for number in 0..ORDERS {
                let (answer, answered) = oneshot::channel();
                let order = Order::End { mount: MountId(format!("{number}-{}", "x".repeat(4000))) };
                asks.send(Ask { order, fds: Vec::new(), answer }).await.unwrap();
                answers.push(answered);
            }
            for answered in answers {
                assert!(matches!(answered.await.unwrap(), Answer::Done));
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all).await.expect("neither waits for the other for ever");
        server.join().unwrap();
        for _ in 0..ORDERS * 4 {
            ended.recv().await.unwrap();
        }
        task.abort();
    }
}
