//! What goes between the daemon and a stage: whatever comes, in whichever pieces, it is a message, nothing yet, or an error.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandbox::message::{Order, Received, Receiver, Report};
use serde::{Serialize, de::DeserializeOwned};
use std::os::fd::OwnedFd;

/// Bytes that a socket takes without anybody reading.
const MOST: usize = 64 << 10;

/// The first byte says in pieces of which length they come, and who speaks.
pub fn stage(bytes: &[u8]) {
    let Some((&how, stream)) = bytes.split_first() else { return };
    let stream = &stream[..stream.len().min(MOST)];
    let piece = usize::from(how >> 1) + 1;
    if how & 1 == 0 { heard::<Order>(stream, piece) } else { heard::<Report>(stream, piece) }
}

fn heard<T: Serialize + DeserializeOwned>(stream: &[u8], piece: usize) {
    let (ours, theirs) = pair();
    let mut receiver = Receiver::default();
    let mut told = 0;
    for piece in stream.chunks(piece) {
        if rustix::io::write(&theirs, piece) != Ok(piece.len()) {
            return;
        }
        loop {
            match receiver.receive::<T>(&ours) {
                Ok(Received::Message(message, fds)) => {
                    assert!(fds.is_empty(), "none was sent");
                    told += 4 + serde_json::to_vec(&message).expect("a message is text").len().min(1);
                    assert!(told <= stream.len(), "no message comes from nothing");
                }
                Ok(Received::Nothing) => break,
                Ok(Received::End) | Err(_) => return,
            }
        }
    }
}

fn pair() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a pair of sockets")
}
