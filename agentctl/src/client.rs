//! A connection to `agentosd`: calls out, replies in, descriptors beside a call. Blocking, bounded.
//!
//! Descriptors come in where a reply has one ([`Client::call_for_descriptor`]), and nowhere else: a plain recv(2) without
//! room for control data makes the kernel drop what a peer attaches.

mod descriptor;

use crate::failure::Failure;
use protocol::control::{self, Method};
use protocol::error::ControlError;
use protocol::wire::{self, Call, Decoder, FrameError, Reply};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde_json::{Map, Value};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// How much is received at once; a page of a listing fits.
const CHUNK: usize = wire::PAGE;
/// Replies that wait for a slow reader of ours at most; with pages of 64 KiB, 256 MiB.
const HELD: usize = 4096;
/// Descriptors that a call of ours carries at most: the three standard streams.
const DESCRIPTORS: usize = 3;

/// One reply, and whether more follow.
pub(crate) type Answer<R> = (R, bool);

/// A connection; one call at a time.
pub(crate) struct Client {
    socket: UnixStream,
    decoder: Decoder,
}

impl Client {
    /// Connects to the socket at `path`.
    pub(crate) fn connect(path: &Path) -> Result<Self, Failure> {
        UnixStream::connect(path).map(Self::over).map_err(|error| Failure::connecting(path.to_owned(), error))
    }

    /// Speaks over a socket that is connected already.
    pub(crate) fn over(socket: UnixStream) -> Self {
        Self { socket, decoder: Decoder::default() }
    }

    /// One call, one reply.
    pub(crate) fn call<M: Method>(&mut self, request: &M) -> Result<M::Reply, Failure> {
        self.send(request, false, &[])?;
        self.receive::<M>().map(|(reply, _)| reply)
    }

    /// As [`Self::call`], for somebody who has to go on after `patience` even when agentosd hangs.
    pub(crate) fn call_within<M: Method>(&mut self, request: &M, patience: Duration) -> Result<M::Reply, Failure> {
        self.send(request, false, &[])?;
        let silent = Failure::Silent { method: M::NAME, seconds: patience.as_secs() };
        let answer = self.receive_until::<M>(Instant::now().checked_add(patience))?;
        answer.map(|(reply, _)| reply).ok_or(silent)
    }

    /// One call, every reply to it, for replies that someone else reads at their own pace (a pager, a terminal).
    ///
    /// The daemon cuts off a client that does not read, so a thread takes what comes while `take` may wait, up to
    /// [`HELD`] replies.
    pub(crate) fn stream<M>(
        self,
        request: &M,
        mut take: impl FnMut(M::Reply) -> Result<(), Failure>,
    ) -> Result<(), Failure>
    where
        M: Method,
        M::Reply: Send + 'static,
    {
        self.stream_while(request, |reply| take(reply).map(|()| true))
    }

    /// As [`Self::stream`], until `take` says false.
    pub(crate) fn stream_while<M>(
        mut self,
        request: &M,
        mut take: impl FnMut(M::Reply) -> Result<bool, Failure>,
    ) -> Result<(), Failure>
    where
        M: Method,
        M::Reply: Send + 'static,
    {
        self.send(request, true, &[])?;
        let (queue, replies) = sync_channel(HELD);
        std::thread::spawn(move || {
            loop {
                let answer = self.receive::<M>();
                let last = !matches!(answer, Ok((_, true)));
                if queue.send(answer).is_err() || last {
                    return;
                }
            }
        });
        for answer in replies {
            if !take(answer?.0)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One call, every reply to it.
    pub(crate) fn each<M: Method>(
        &mut self,
        request: &M,
        mut take: impl FnMut(M::Reply) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.send(request, true, &[])?;
        loop {
            let (reply, continues) = self.receive::<M>()?;
            take(reply)?;
            if !continues {
                return Ok(());
            }
        }
    }

    /// Sends a call; `descriptors` go with its first byte.
    pub(crate) fn send<M: Method>(
        &mut self,
        request: &M,
        more: bool,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Failure> {
        let parameters = wire::parameters(request).map_err(Failure::Encode)?;
        self.send_call(&format!("{}.{}", control::NAME, M::NAME), parameters, more, descriptors)
    }

    /// A call of another interface, such as `org.varlink.service.GetInfo`.
    pub(crate) fn call_raw(&mut self, method: &'static str) -> Result<Map<String, Value>, Failure> {
        self.send_call(method, Map::new(), false, &[])?;
        let reply = self.next_reply(method)?;
        checked(reply).map(|reply| reply.parameters)
    }

    fn send_call(
        &mut self,
        method: &str,
        parameters: Map<String, Value>,
        more: bool,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Failure> {
        let call = Call { method: method.to_owned(), parameters, more, oneway: false, upgrade: false };
        let message = wire::encode(&call).map_err(|error| match error {
            FrameError::TooLong => Failure::TooLong,
            other => Failure::Encode(other),
        })?;
        transmit(self.socket.as_fd(), &message, descriptors)
            .map_err(|error| Failure::Lost { waiting_for: format!("sending {method}"), source: Some(error) })
    }

    /// Waits for the next reply to a call of `M`.
    pub(crate) fn receive<M: Method>(&mut self) -> Result<Answer<M::Reply>, Failure> {
        typed::<M>(self.next_reply(M::NAME)?)
    }

    /// As [`Self::receive`], but not past `deadline`; `None` when that passes first.
    pub(crate) fn receive_until<M: Method>(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Answer<M::Reply>>, Failure> {
        loop {
            if let Some(answer) = self.received::<M>()? {
                return Ok(Some(answer));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(Failure::os("wait for agentosd")(error)),
            }
        }
    }

    /// A reply that has arrived already; never waits.
    pub(crate) fn received<M: Method>(&mut self) -> Result<Option<Answer<M::Reply>>, Failure> {
        loop {
            if let Some(message) = self.decoder.next_message() {
                return understood(&message, M::NAME).and_then(typed::<M>).map(Some);
            }
            if !self.read(RecvFlags::DONTWAIT, M::NAME)? {
                return Ok(None);
            }
        }
    }

    fn next_reply(&mut self, method: &'static str) -> Result<Reply, Failure> {
        loop {
            if let Some(message) = self.decoder.next_message() {
                return understood(&message, method);
            }
            self.read(RecvFlags::empty(), method)?;
        }
    }

    /// Receives once; false when that would wait.
    fn read(&mut self, flags: RecvFlags, method: &'static str) -> Result<bool, Failure> {
        let lost = |source: Option<io::Error>| Failure::Lost { waiting_for: format!("waiting for {method}"), source };
        let mut chunk = [MaybeUninit::<u8>::uninit(); CHUNK];
        match rustix::net::recv(&self.socket, &mut chunk, flags) {
            Ok((([], _), _)) => Err(lost(None)),
            Ok(((bytes, _), _)) => {
                self.decoder.push(bytes).map_err(|source| Failure::Reply { method, source })?;
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(false),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(lost(Some(error.into()))),
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn transmit(socket: BorrowedFd<'_>, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors beside one call"));
    }
    let mut rest = message;
    while !rest.is_empty() {
        // A peer that is gone is an error here, not a signal to us.
        match rustix::net::sendmsg(socket, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                rest = &rest[sent..];
                control.clear();
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn understood(message: &[u8], method: &'static str) -> Result<Reply, Failure> {
    wire::decode(message).map_err(|source| Failure::Reply { method, source }).and_then(checked)
}

/// The reply, unless it is an error.
fn checked(reply: Reply) -> Result<Reply, Failure> {
    match &reply.error {
        None => Ok(reply),
        Some(name) => Err(match ControlError::from_reply(&reply) {
            Some(error) => Failure::Refused(error),
            None => {
                let parameters = Value::Object(reply.parameters.clone()).to_string();
                Failure::Varlink { error: name.clone(), parameters }
            }
        }),
    }
}

fn typed<M: Method>(reply: Reply) -> Result<Answer<M::Reply>, Failure> {
    let parameters = serde_json::from_value(Value::Object(reply.parameters))
        .map_err(|error| Failure::Reply { method: M::NAME, source: FrameError::Json(error) })?;
    Ok((parameters, reply.continues))
}

#[cfg(test)]
mod tests;
