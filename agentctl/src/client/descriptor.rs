//! A reply with a descriptor beside it.

use super::{CHUNK, Client, typed, understood};
use crate::failure::Failure;
use protocol::control::Method;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};

impl Client {
    /// One call with `more`, and the first reply to it, which has one descriptor. The call goes on: further replies are
    /// received as ever.
    pub(crate) fn call_for_descriptor<M: Method>(&mut self, request: &M) -> Result<(M::Reply, OwnedFd), Failure> {
        self.send(request, true, &[])?;
        let mut descriptors = Vec::new();
        let message = loop {
            if let Some(message) = self.decoder.next_message() {
                break message;
            }
            self.read_with_descriptors(&mut descriptors, M::NAME)?;
        };
        let (reply, _) = understood(&message, M::NAME).and_then(typed::<M>)?;
        let mut descriptors = descriptors.into_iter();
        match (descriptors.next(), descriptors.next()) {
            (Some(descriptor), None) => Ok((reply, descriptor)),
            _ => Err(Failure::Descriptor { method: M::NAME }),
        }
    }

    fn read_with_descriptors(&mut self, to: &mut Vec<OwnedFd>, method: &'static str) -> Result<(), Failure> {
        let lost = |source: Option<io::Error>| Failure::Lost { waiting_for: format!("waiting for {method}"), source };
        let mut chunk = vec![0; CHUNK];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut chunk)];
        let received = recvmsg(self.socket.as_fd(), parts, &mut control, RecvFlags::CMSG_CLOEXEC);
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                to.extend(rights);
            }
        }
        match received.map(|received| received.bytes) {
            Ok(0) => Err(lost(None)),
            Ok(count) => self.decoder.push(&chunk[..count]).map_err(|source| Failure::Reply { method, source }),
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(lost(Some(error.into()))),
        }
    }
}
