//! Messages to and from a server, over a unix socket, each within a length and all within a time.

use super::settings::Settings;
use crate::refusal::{Outcome, Refusal};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{ErrorResponseBody, Header, Message};
use postgres_protocol::message::frontend;
use protocol::action::RefusalReason;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// At once.
const CHUNK: usize = 64 << 10;
/// Of a message that is no row.
const USUAL: u64 = 1 << 20;

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Connection {
    socket: UnixStream,
    received: BytesMut,
    address: PathBuf,
    /// What a request to cancel must know.
    key: Option<(i32, i32)>,
    deadline: Instant,
    longest: u64,
}

impl Connection {
    pub(super) fn open(settings: &Settings, deadline: Instant) -> Outcome<Self> {
        let address = settings.address();
        let refused = |error| Refusal::io(&error, &format!("connect to the PostgreSQL server at {address:?}"));
        let socket = UnixStream::connect(&address).map_err(refused)?;
        Ok(Self { socket, received: BytesMut::new(), address, key: None, deadline, longest: USUAL })
    }

    /// From now on: until when, and how long a message may be.
    pub(super) fn limit(&mut self, deadline: Instant, result: u64) {
        self.deadline = deadline;
        self.longest = result.saturating_add(USUAL);
    }

    /// Sends what `fill` puts into the buffer.
    pub(super) fn send(&mut self, fill: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Outcome<()> {
        let mut buffer = BytesMut::new();
        fill(&mut buffer)
            .map_err(|error| Refusal::new(RefusalReason::BadParameter, format!("ask PostgreSQL: {error}")))?;
        let left = self.left()?;
        self.socket
            .set_write_timeout(Some(left))
            .and_then(|()| self.socket.write_all(&buffer))
            .map_err(|error| self.failed(&error))
    }

    /// The next message; the server's remarks are left out, and its errors are refusals.
    pub(super) fn receive(&mut self) -> Outcome<Message> {
        loop {
            let header = Header::parse(&self.received).map_err(|error| garbled(&error))?;
            if header.is_some_and(|header| u64::try_from(header.len()).unwrap_or(u64::MAX) > self.longest) {
                self.cancel();
                return Err(Refusal::too_large("the result", self.longest.saturating_sub(USUAL)));
            }
            match Message::parse(&mut self.received).map_err(|error| garbled(&error))? {
                None => self.read()?,
                Some(Message::BackendKeyData(body)) => self.key = Some((body.process_id(), body.secret_key())),
                Some(Message::NoticeResponse(_) | Message::ParameterStatus(_) | Message::NotificationResponse(_)) => {}
                Some(Message::ErrorResponse(body)) => return Err(refusal(&body)),
                Some(message) => return Ok(message),
            }
        }
    }

    /// Every message until the server waits again, and the state of the transaction then. After a refusal the connection is
    /// of no more use: the server still runs the statement, and is told to stop.
    pub(super) fn until_ready(&mut self, mut take: impl FnMut(Message) -> Outcome<()>) -> Outcome<u8> {
        loop {
            match self.receive()? {
                Message::ReadyForQuery(body) => return Ok(body.status()),
                message => take(message).inspect_err(|_| self.cancel())?,
            }
        }
    }

    fn read(&mut self) -> Outcome<()> {
        let left = self.left()?;
        let mut chunk = [0; CHUNK];
        let received = self.socket.set_read_timeout(Some(left)).and_then(|()| self.socket.read(&mut chunk));
        match received {
            Ok(0) => Err(Refusal::new(RefusalReason::HostRefused, "the PostgreSQL server closed the connection")),
            Ok(count) => {
                self.received.extend_from_slice(chunk.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn left(&self) -> Outcome<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.cancel();
            return Err(late());
        }
        // A millisecond more, so that the server's own clock goes first and its answer comes.
        Ok(left + Duration::from_millis(50))
    }

    fn failed(&self, error: &io::Error) -> Refusal {
        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            self.cancel();
            return late();
        }
        Refusal::io(error, "talk to the PostgreSQL server")
    }

    /// Asks the server to end the statement, as well as that goes: closing the connection rolls it back in any case.
    fn cancel(&self) {
        let Some((process, secret)) = self.key else { return };
        let mut buffer = BytesMut::new();
        frontend::cancel_request(process, secret, &mut buffer);
        let asked = UnixStream::connect(&self.address).and_then(|mut socket| socket.write_all(&buffer));
        if let Err(error) = asked {
            eprintln!("agentos-executor: cannot ask PostgreSQL to end the statement: {error}");
        }
    }
}

/// What the server sent is not its protocol.
pub(super) fn garbled(error: &io::Error) -> Refusal {
    Refusal::new(RefusalReason::HostRefused, format!("the PostgreSQL server's answer is not understood: {error}"))
}

fn late() -> Refusal {
    Refusal::new(RefusalReason::Timeout, "the statement took longer than allowed")
}

/// The server's error, by its SQLSTATE.
fn refusal(body: &ErrorResponseBody) -> Refusal {
    let (mut code, mut message, mut detail) = (String::new(), String::new(), String::new());
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        let value = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = value(),
            b'M' => message = value(),
            b'D' => detail = format!(" ({})", value()),
            _ => {}
        }
    }
    let reason = match code.as_str() {
        // read_only_sql_transaction
        "25006" => RefusalReason::ReadOnly,
        // query_canceled, lock_not_available, idle_in_transaction_session_timeout
        "57014" | "55P03" | "25P03" => RefusalReason::Timeout,
        // invalid_catalog_name: there is no such database
        "3D000" => RefusalReason::NotFound,
        // Authorization, resources, shutdown, disks.
        _ if ["28", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => RefusalReason::HostRefused,
        _ => RefusalReason::StatementRefused,
    };
    Refusal::new(reason, format!("PostgreSQL: {message}{detail} ({code})"))
}
