//! The connection: one packet of JSON an order, with descriptors beside it, and one an answer (`protocol::vfs`).

use anyhow::{Context as _, Result, ensure};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, recv, sendmsg, socket_with,
};
use serde_json::{Value, json};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

/// `protocol::vfs::VERSION`.
const VERSION: u32 = 3;
/// `protocol::vfs::MAX_MESSAGE`.
const LONGEST: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Control(OwnedFd);

impl Control {
    /// Connects and says hello.
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let own = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let own = own.context("failed to make a socket")?;
        let address = SocketAddrUnix::new(socket).context("the socket's path is too long")?;
        connect(&own, &address).with_context(|| format!("failed to connect to {}", socket.display()))?;
        let control = Self(own);
        let welcome = control.order(&json!({"order": "hello", "version": VERSION}), &[])?;
        ensure!(welcome["version"] == VERSION, "agentos-vfs speaks another version: {welcome}");
        Ok(control)
    }

    /// Sends an order, waits for its answer.
    pub(crate) fn order(&self, order: &Value, descriptors: &[BorrowedFd<'_>]) -> Result<Value> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            ensure!(beside.push(SendAncillaryMessage::ScmRights(descriptors)), "too many descriptors for one message");
        }
        let text = order.to_string();
        sendmsg(self.0.as_fd(), &[IoSlice::new(text.as_bytes())], &mut beside, SendFlags::NOSIGNAL)
            .with_context(|| format!("failed to send {text}"))?;
        let answer = loop {
            let answer = self.receive().with_context(|| format!("no answer to {text}"))?;
            // Which of the mounts has ended is known here: they were unmounted.
            if answer["answer"] != "ended" {
                break answer;
            }
        };
        ensure!(answer["answer"] != "failed", "agentos-vfs failed to {}, asked to {text}", answer["reason"]);
        Ok(answer)
    }

    fn receive(&self) -> Result<Value> {
        let mut answer = vec![0; LONGEST];
        let (length, _) = recv(&self.0, &mut answer[..], RecvFlags::empty()).context("failed to receive an answer")?;
        ensure!(length > 0, "agentos-vfs closed the connection");
        serde_json::from_slice(&answer[..length]).context("the answer is not JSON")
    }
}
