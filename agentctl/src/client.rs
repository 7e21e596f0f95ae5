//! A connection to `agentosd`: calls out, replies in, descriptors beside a call. Blocking, bounded.
//!
//! Descriptors never come in: a plain recv(2) without room for control data makes the kernel drop what a peer attaches.

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
use std::time::{Duration, Instant};

/// How much is received at once; a page of a listing fits.
const CHUNK: usize = wire::PAGE;
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
mod tests {
    use super::*;
    use protocol::agent::State;
    use protocol::control::{List, ListReply, Wait};
    use protocol::ids::AgentName;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, recvmsg};
    use std::io::{IoSliceMut, Read as _, Write as _};
    use std::os::fd::OwnedFd;

    /// A client and the other end of its socket.
    fn pair() -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        (Client::over(ours), theirs)
    }

    fn wait() -> Wait {
        Wait { name: AgentName::parse("a").expect("a name") }
    }

    fn answer(peer: &mut UnixStream, reply: &Reply) {
        peer.write_all(&wire::encode(reply).expect("encoded")).expect("written");
    }

    #[test]
    fn descriptors_travel_beside_the_call_and_stay_the_same_files() {
        let (mut client, peer) = pair();
        let (read, write) = std::io::pipe().expect("a pipe");
        client.send(&wait(), true, &[write.as_fd()]).expect("sent");
        drop(write);

        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(&peer, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
            .expect("received");
        let passed: Vec<OwnedFd> = control
            .drain()
            .flat_map(|message| match message {
                RecvAncillaryMessage::ScmRights(rights) => rights.collect(),
                _ => Vec::new(),
            })
            .collect();
        assert_eq!(passed.len(), 1);
        rustix::io::write(&passed[0], b"through").expect("written");
        drop(passed);
        let mut text = String::new();
        std::io::Read::read_to_string(&mut { read }, &mut text).expect("read");
        assert_eq!(text, "through");

        let call: Call = wire::decode(&bytes[..received.bytes - 1]).expect("a call");
        assert_eq!((call.method.as_str(), call.more), ("io.agentos.Control.Wait", true));
    }

    #[test]
    fn replies_stream_until_the_last() {
        let (mut client, mut peer) = pair();
        let page = wire::parameters(&ListReply { agents: vec![] }).expect("parameters");
        answer(&mut peer, &Reply { parameters: page.clone(), continues: true, error: None });
        answer(&mut peer, &Reply { parameters: page, continues: false, error: None });
        let mut pages = 0;
        client
            .each(&List { all: true }, |_| {
                pages += 1;
                Ok(())
            })
            .expect("listed");
        assert_eq!(pages, 2);
    }

    #[test]
    fn a_refusal_keeps_its_sentence_and_its_exit_code() {
        let (mut client, mut peer) = pair();
        let error = ControlError::NameInUse { name: "a".into(), state: State::Running };
        answer(&mut peer, &error.to_reply());
        let failure = client.call(&wait()).expect_err("refused");
        assert_eq!(failure.exit_code(), 6);
        assert_eq!(failure.sentence(), error.to_string());
    }

    #[test]
    fn an_error_of_another_interface_is_named() {
        let (mut client, mut peer) = pair();
        let mut parameters = Map::new();
        parameters.insert("method".into(), "Wait".into());
        let error = Some("org.varlink.service.MethodNotFound".to_owned());
        answer(&mut peer, &Reply { parameters, continues: false, error });
        let failure = client.call(&wait()).expect_err("refused");
        assert!(failure.sentence().contains("MethodNotFound {\"method\":\"Wait\"}"), "{}", failure.sentence());
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn a_lost_connection_says_what_was_waited_for() {
        let (mut client, mut peer) = pair();
        let reader = std::thread::spawn(move || {
            let mut byte = [0; 1];
            peer.read_exact(&mut byte).expect("read");
        });
        let failure = client.call(&wait()).expect_err("lost");
        reader.join().expect("joined");
        assert!(matches!(&failure, Failure::Lost { .. }), "{failure}");
        assert_eq!(failure.exit_code(), 69);
    }

    #[test]
    fn an_endless_reply_is_cut_off() {
        let (mut client, mut peer) = pair();
        let writer = std::thread::spawn(move || {
            let chunk = [b'x'; 64 << 10];
            // Ends with an error as soon as the client has had enough.
            while peer.write_all(&chunk).is_ok() {}
        });
        let failure = client.call(&wait()).expect_err("too long");
        assert!(failure.sentence().contains("longer than"), "{}", failure.sentence());
        drop(client);
        writer.join().expect("joined");
    }

    #[test]
    fn a_deadline_passes_without_a_reply() {
        let (mut client, _peer) = pair();
        let deadline = Some(Instant::now() + Duration::from_millis(20));
        assert!(client.receive_until::<Wait>(deadline).expect("no failure").is_none());
    }
}
