//! The stage's own socket, over which the next daemon claims it.
//!
//! It lies in a directory that root alone can enter; whoever connects must be root and know the key. One connection at a
//! time is listened to: a newer one takes the place of one that says nothing.

use super::super::step::{Attempt as _, Step};
use crate::message::{Claim, Key, Order, Received, Receiver};
use rustix::fs::{Mode, chmod};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Claimants that may wait: each daemon that dies while the stage is busy leaves one.
const BACKLOG: i32 = 16;

/// Where claims come.
#[derive(Debug)]
pub(super) struct Door {
    listener: OwnedFd,
    key: Key,
    claimant: Option<(OwnedFd, Receiver)>,
}

impl Door {
    /// Listens.
    pub(super) fn open(claim: &Claim) -> Step<Self> {
        let path = &claim.socket;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let made = || {
            let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            bind(&listener, &SocketAddrUnix::new(path)?)?;
            // Nobody can connect before it listens.
            chmod(path, Mode::RUSR | Mode::WUSR)?;
            listen(&listener, BACKLOG)?;
            Ok::<_, rustix::io::Errno>(listener)
        };
        let listener = made().attempt_on("listen at", path)?;
        Ok(Self { listener, key: claim.key.clone(), claimant: None })
    }

    /// What to wait for.
    pub(super) fn interests(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let claimant = self.claimant.as_ref().map(|(socket, _)| socket.as_fd());
        [self.listener.as_fd()].into_iter().chain(claimant)
    }

    /// Looks at what came; a claimant that has proved itself is the new daemon. One that has not is let go, and nothing that
    /// it did stops the stage.
    pub(super) fn look(&mut self) -> Option<OwnedFd> {
        if let Ok(socket) = accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
            && socket_peercred(&socket).is_ok_and(|peer| peer.uid.is_root())
        {
            self.claimant = Some((socket, Receiver::default()));
        }
        let (socket, mut receiver) = self.claimant.take()?;
        match receiver.receive(&socket) {
            Ok(Received::Message(Order::Claim { key }, _)) if self.key.is(&key) => blocking(socket).ok(),
            Ok(Received::Nothing) => {
                self.claimant = Some((socket, receiver));
                None
            }
            Ok(Received::Message(..) | Received::End) | Err(_) => None,
        }
    }
}

/// As the socket is that the stage was born with.
fn blocking(socket: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(&socket, false)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::send;
    use rustix::net::{connect, socket};

    fn connected(claim: &Claim) -> OwnedFd {
        let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        connect(&socket, &SocketAddrUnix::new(&claim.socket).unwrap()).unwrap();
        socket
    }

    #[test]
    fn only_who_knows_the_key_becomes_the_daemon() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root is heard there");
            return;
        }
        let place = std::env::temp_dir().join(format!("agentos-door-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        let claim = Claim { socket: place.join("s"), key: Key::new("right".into()) };
        let mut door = Door::open(&claim).unwrap();
        for order in [Order::Claim { key: Key::new("wrong".into()) }, Order::Dismiss] {
            let socket = connected(&claim);
            send(socket.as_fd(), &order, &[]).unwrap();
            assert!(door.look().is_none(), "{order:?}");
            assert!(door.claimant.is_none(), "it is let go");
        }
        let silent = connected(&claim);
        assert!(door.look().is_none() && door.claimant.is_some());
        let right = connected(&claim);
        send(right.as_fd(), &Order::Claim { key: Key::new("right".into()) }, &[]).unwrap();
        assert!(door.look().is_some(), "the silent one is replaced");
        drop(silent);
        std::fs::remove_dir_all(&place).unwrap();
    }
}
