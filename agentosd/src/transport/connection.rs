//! One connection: calls in order, each with its replies.

use super::service;
use super::socket::{Socket, SocketError};
use crate::caller::Caller;
use protocol::error::ControlError;
use protocol::wire::{self, Call, FrameError, Reply};
use serde::Serialize;
use serde_json::{Map, Value};
use std::future::Future;
use std::os::fd::OwnedFd;

/// A call of our interface.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The method, without the interface.
    pub(crate) method: String,
    /// Its parameters.
    pub(crate) parameters: Map<String, Value>,
    /// The descriptors beside it.
    pub(crate) fds: Vec<OwnedFd>,
    /// Who calls.
    pub(crate) caller: Caller,
}

/// What answers the calls of one connection.
pub(crate) trait Door: Clone + Send + Sync + 'static {
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

    /// The last reply.
    pub(crate) async fn last<T: Serialize + Sync>(&mut self, reply: &T) -> Result<(), Ended> {
        self.reply(reply, false).await
    }

    async fn reply<T: Serialize + Sync>(&mut self, reply: &T, continues: bool) -> Result<(), Ended> {
        let parameters = wire::parameters(reply).map_err(SocketError::from)?;
        Ok(self.transmit(&Reply { parameters, continues, error: None }).await?)
    }

    async fn transmit(&mut self, reply: &Reply) -> Result<(), SocketError> {
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
        self.socket.send(&bytes).await
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
    let message = socket.receive().await?;
    let call: Call = wire::decode(&message.bytes)?;
    let mut out = Outgoing { socket, more: call.more && !call.oneway, oneway: call.oneway };
    if call.upgrade {
        return out.transmit(&service::not_implemented(&call.method)).await;
    }
    if let Some(reply) = service::answer(&call) {
        return out.transmit(&reply).await;
    }
    let method = call.method.rsplit('.').next().unwrap_or_default().to_owned();
    let incoming = Incoming { method, parameters: call.parameters, fds: message.fds, caller: caller.clone() };
    match door.answer(incoming, &mut out).await {
        Ok(()) => Ok(()),
        Err(Ended::Refused(error)) => out.transmit(&error.to_reply()).await,
        Err(Ended::ExpectedMore) => out.transmit(&service::expected_more()).await,
        Err(Ended::Connection(error)) => Err(error),
    }
}
