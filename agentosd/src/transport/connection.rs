//! One connection: calls in order, each with its replies.

use super::descriptors::Descriptors;
use super::parameters::Parameters;
use super::service;
use super::socket::{Message, Socket, SocketError};
use super::turn::aside_if_large;
use crate::caller::Caller;
use protocol::control::Interface;
use protocol::error::ControlError;
use protocol::wire::{self, Call, FrameError};
use serde::Serialize;
use std::future::Future;
use std::os::fd::BorrowedFd;

/// A call of our interface.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The method, without the interface.
    pub(crate) method: String,
    /// Its parameters.
    pub(crate) parameters: Parameters,
    /// The descriptors beside it.
    pub(crate) fds: Descriptors,
    /// Who calls.
    pub(crate) caller: Caller,
}

/// What answers the calls of one connection.
pub(crate) trait Door: Clone + Send + Sync + 'static {
    /// What it serves.
    const INTERFACE: Interface;

    /// Answers one call through `out`; an error that is returned becomes the last reply.
    fn answer(&self, call: Incoming, out: &mut Outgoing<'_>) -> impl Future<Output = Result<(), Ended>> + Send;
}

/// Why an answer is not the reply that was expected.
#[derive(Debug)]
pub(crate) enum Ended {
    /// A refusal, which is the reply.
    Refused(ControlError),
    /// The method needs `more`.
    ExpectedMore,
    /// The connection is of no further use.
    Connection(SocketError),
}

impl From<ControlError> for Ended {
    fn from(error: ControlError) -> Self {
        Self::Refused(error)
    }
}

impl From<SocketError> for Ended {
    fn from(error: SocketError) -> Self {
        Self::Connection(error)
    }
}

/// A reply that is no error, written without the detour over a tree of values.
#[derive(Serialize)]
struct Typed<'a, T> {
    parameters: &'a T,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    continues: bool,
}

/// Where the replies to one call go.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    socket: &'a mut Socket,
    more: bool,
    oneway: bool,
}

impl Outgoing<'_> {
    /// Whether the caller takes more than one reply.
    pub(crate) fn more(&self) -> bool {
        self.more
    }

    /// Refuses a caller that takes one reply only.
    pub(crate) fn require_more(&self) -> Result<(), Ended> {
        if self.more { Ok(()) } else { Err(Ended::ExpectedMore) }
    }

    /// A reply that is not the last.
    pub(crate) async fn next<T: Serialize + Sync>(&mut self, reply: &T) -> Result<(), Ended> {
        self.reply(reply, true).await
    }

    /// A reply that is not the last, with a descriptor beside it.
    pub(crate) async fn next_with<T: Serialize + Sync>(&mut self, reply: &T, fd: BorrowedFd<'_>) -> Result<(), Ended> {
        Ok(self.transmit(&Typed { parameters: reply, continues: true }, Some(fd)).await?)
    }

    /// A reply of many that are not the last: after it this user's other connections have their turn, even if the peer
    /// takes replies so fast that nothing is waited for.
    pub(crate) async fn page<T: Serialize + Sync>(&mut self, reply: &T) -> Result<(), Ended> {
        self.next(reply).await?;
        tokio::task::yield_now().await;
        Ok(())
    }

    /// The last reply.
    pub(crate) async fn last<T: Serialize + Sync>(&mut self, reply: &T) -> Result<(), Ended> {
        self.reply(reply, false).await
    }

    async fn reply<T: Serialize + Sync>(&mut self, reply: &T, continues: bool) -> Result<(), Ended> {
        Ok(self.transmit(&Typed { parameters: reply, continues }, None).await?)
    }

    async fn transmit<T: Serialize + Sync>(
        &mut self,
        reply: &T,
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<(), SocketError> {
        if self.oneway {
            return Ok(());
        }
        let bytes = match wire::encode(reply) {
            Err(FrameError::TooLong) => {
                let message = format!("the reply is longer than {} bytes", wire::MAX_MESSAGE);
                wire::encode(&ControlError::Internal { message }.to_reply())?
            }
            other => other?,
        };
        self.socket.send(&bytes, fd).await
    }

    /// Waits for `future`, unless the peer goes away first.
    pub(crate) async fn unless_closed<F: Future>(&mut self, future: F) -> Result<F::Output, SocketError> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            error = self.socket.closed() => Err(error),
        }
    }
}

/// Answers calls until the peer is gone or breaks the rules.
pub(super) async fn serve<D: Door>(mut socket: Socket, caller: Caller, door: D) -> SocketError {
    loop {
        match one_call(&mut socket, &caller, &door).await {
            Ok(()) => {}
            Err(error) => return error,
        }
    }
}

async fn one_call<D: Door>(socket: &mut Socket, caller: &Caller, door: &D) -> Result<(), SocketError> {
    let Message { bytes, fds } = socket.receive().await?;
    let size = bytes.len();
    // The bytes are not kept while the call is answered, which may take as long as an agent lives.
    let call: Call = aside_if_large(size, move || wire::decode(&bytes))?;
    let Call { method, parameters, more, oneway, upgrade } = call;
    let parameters = Parameters::new(parameters, size);
    let mut out = Outgoing { socket, more: more && !oneway, oneway };
    if upgrade {
        return out.transmit(&service::not_implemented(&method), None).await;
    }
    if let Some(reply) = service::answer(&method, &parameters, &D::INTERFACE) {
        return out.transmit(&reply, None).await;
    }
    let method = method.rsplit('.').next().unwrap_or_default().to_owned();
    let incoming = Incoming { method, parameters, fds, caller: caller.clone() };
    match door.answer(incoming, &mut out).await {
        Ok(()) => Ok(()),
        Err(Ended::Refused(error)) => out.transmit(&error.to_reply_of(D::INTERFACE.name), None).await,
        Err(Ended::ExpectedMore) => out.transmit(&service::expected_more(), None).await,
        Err(Ended::Connection(error)) => Err(error),
    }
}
