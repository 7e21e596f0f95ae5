//! Whoever connects to the agent's socket while no daemon decides, and is to be refused: each call is answered with the
//! same words, whatever it says.

use rustix::io::{Errno, read};
use rustix::net::{SendFlags, SocketFlags, accept_with, send};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Most connections at one time; a further one takes the place of the oldest.
const MOST: usize = 32;
/// What ends a message (the Varlink wire).
const END: u8 = 0;

/// The connections.
#[derive(Debug, Default)]
pub(super) struct Refusing(Vec<OwnedFd>);

impl Refusing {
    /// What to wait for.
    pub(super) fn interests(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(OwnedFd::as_fd)
    }

    /// Takes who has connected, and answers what has come.
    pub(super) fn go_on(&mut self, listener: BorrowedFd<'_>, refusal: &str) {
        if let Ok(socket) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            self.0.truncate(MOST - 1);
            self.0.insert(0, socket);
        }
        self.0.retain(|socket| answer(socket, refusal));
    }
}

/// Answers every call that is whole; false when the peer is gone or does not read.
fn answer(socket: &OwnedFd, refusal: &str) -> bool {
    let mut piece = [0; 16 << 10];
    let length = match read(socket, &mut piece[..]) {
        Ok(0) => return false,
        Ok(length) => length,
        Err(error) => return error == Errno::AGAIN,
    };
    let calls = piece[..length].iter().filter(|byte| **byte == END).count();
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    (0..calls).all(|_| send(socket, refusal.as_bytes(), flags) == Ok(refusal.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketType, socketpair};

    #[test]
    fn each_call_is_refused_and_who_leaves_is_forgotten() {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
        assert!(answer(&ours, "no\0"), "nothing has come");
        rustix::io::write(&theirs, b"{half").unwrap();
        assert!(answer(&ours, "no\0"));
        rustix::io::write(&theirs, b"}\0{}\0{").unwrap();
        assert!(answer(&ours, "no\0"));
        let mut said = [0; 16];
        assert_eq!(read(&theirs, &mut said[..]).unwrap(), 6);
        assert_eq!(&said[..6], b"no\0no\0");
        drop(theirs);
        assert!(!answer(&ours, "no\0"));
    }
}
