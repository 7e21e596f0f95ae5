//! The daemon's orders: a SOCK_SEQPACKET socket, a thread for each connection.

pub mod confine;
mod daemons;
pub mod mounts;
pub mod store;

use self::mounts::{Failure, Mounts};
use protocol::vfs::{Answer, MAX_FDS, MAX_MESSAGE, MAX_PUBLISHED, Order, VERSION};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, SocketFlags, accept_with, recvmsg,
    send,
};
use std::fs::File;
use std::io::{self, IoSliceMut, Read as _, Seek as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Connections at a time: the daemon's, and that of the one which replaces it.
const MOST_CONNECTIONS: usize = 8;

/// When a connection is tried again that could not be taken.
const RETRY: Duration = Duration::from_millis(100);

/// Serves the daemon's orders for good.
///
/// # Errors
/// When the listening socket fails.
pub fn serve(listener: &OwnedFd, mounts: &Arc<Mounts>) -> io::Result<()> {
    let connections = Arc::new(AtomicUsize::new(0));
    loop {
        let connection = match accept_with(listener, SocketFlags::CLOEXEC) {
            Ok(connection) => connection,
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            // Agents keep their files while there is no room for a further connection.
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => {
                std::thread::sleep(RETRY);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // Whoever else could open the socket has no orders to give.
        if !socket_peercred(&connection).is_ok_and(|peer| peer.uid.is_root()) {
            continue;
        }
        if connections.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
            connections.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (mounts, connections) = (Arc::clone(mounts), Arc::clone(&connections));
        std::thread::Builder::new().name("orders".to_owned()).spawn(move || {
            let connection = Arc::new(connection);
            mounts.tell(&connection);
            if let Err(error) = converse(&connection, &mounts) {
                eprintln!("agentos-vfs: the connection to agentosd broke: {error}");
            }
            connections.fetch_sub(1, Ordering::Relaxed);
        })?;
    }
}

/// Until the daemon closes the connection.
fn converse(connection: &OwnedFd, mounts: &Arc<Mounts>) -> io::Result<()> {
    let mut buffer = vec![0; MAX_MESSAGE];
    while let Some((length, descriptors)) = receive(connection, &mut buffer)? {
        let message = buffer.get(..length).unwrap_or_default();
        let answer = match serde_json::from_slice(message) {
            Ok(order) => obey(order, descriptors, mounts),
            Err(error) => Answer::Failed { reason: format!("read the order: {error}") },
        };
        send(connection, &serde_json::to_vec(&answer)?, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

fn receive(connection: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<(usize, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match recvmsg(connection, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::other("an order is longer than agreed, or came with more descriptors"));
    }
    Ok(if received.bytes == 0 { None } else { Some((received.bytes, descriptors)) })
}

fn obey(order: Order, descriptors: Vec<OwnedFd>, mounts: &Arc<Mounts>) -> Answer {
    let done = match order {
        Order::Hello { .. } => return Answer::Welcome { version: VERSION, mounts: mounts.names() },
        Order::Serve(serve) => mounts.serve(&serve, descriptors),
        Order::Publish { mount, path, mode } => {
            content(&path, descriptors).and_then(|content| mounts.publish(&mount, &path, mode, content))
        }
        Order::Withdraw { mount, path } => mounts.withdraw(&mount, &path),
        Order::Usage { mount } => match mounts.usage(&mount) {
            Ok(used) => return Answer::Usage { used },
            Err(failure) => Err(failure),
        },
        Order::End { mount } => {
            mounts.end(&mount);
            Ok(())
        }
    };
    match done {
        Ok(()) => Answer::Done,
        Err(failure) => Answer::Failed { reason: failure.to_string() },
    }
}

/// What a file is to hold, from the memfd beside the order.
fn content(path: &str, descriptors: Vec<OwnedFd>) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::Content(path.to_owned(), error);
    let Ok([descriptor]) = <[OwnedFd; 1]>::try_from(descriptors) else {
        return Err(failed(io::Error::other("one descriptor was expected beside the order")));
    };
    let mut file = File::from(descriptor);
    file.rewind().map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_PUBLISHED + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_PUBLISHED {
        return Err(failed(io::Error::other(format!("it is longer than {MAX_PUBLISHED} bytes"))));
    }
    Ok(bytes)
}
