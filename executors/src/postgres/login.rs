//! Saying who we are: nothing, a password, or SCRAM; as the server wants it.

use super::connection::{Connection, garbled};
use super::settings::Settings;
use crate::refusal::{Outcome, Refusal};
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use protocol::action::RefusalReason;

/// Until the server waits for a statement.
pub(super) fn log_in(connection: &mut Connection, settings: &Settings, password: &str) -> Outcome<()> {
    let parameters = [
        ("user", settings.user.as_str()),
        ("database", &settings.database),
        ("application_name", "agentos-executor"),
        ("client_encoding", "UTF8"),
    ];
    connection.send(|buffer| frontend::startup_message(parameters, buffer))?;
    match connection.receive()? {
        Message::AuthenticationOk => return ready(connection),
        Message::AuthenticationCleartextPassword => {
            connection.send(|buffer| frontend::password_message(password.as_bytes(), buffer))?;
        }
        Message::AuthenticationMd5Password(body) => {
            let hash = md5_hash(settings.user.as_bytes(), password.as_bytes(), body.salt());
            connection.send(|buffer| frontend::password_message(hash.as_bytes(), buffer))?;
        }
        Message::AuthenticationSasl(body) => scram(connection, &body, password)?,
        _ => return Err(unknown()),
    }
    match connection.receive()? {
        Message::AuthenticationOk => ready(connection),
        _ => Err(unknown()),
    }
}

fn ready(connection: &mut Connection) -> Outcome<()> {
    connection.until_ready(|_| Ok(())).map(drop)
}

fn scram(connection: &mut Connection, body: &AuthenticationSaslBody, password: &str) -> Outcome<()> {
    let offered = body.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256)).map_err(|error| garbled(&error))?;
    if !offered {
        return Err(unknown());
    }
    // There is no TLS on a unix socket that a channel could be bound to.
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    connection.send(|buffer| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), buffer))?;
    let Message::AuthenticationSaslContinue(body) = connection.receive()? else { return Err(unknown()) };
    scram.update(body.data()).map_err(|error| garbled(&error))?;
    connection.send(|buffer| frontend::sasl_response(scram.message(), buffer))?;
    let Message::AuthenticationSaslFinal(body) = connection.receive()? else { return Err(unknown()) };
    // The server proves that it knows the password too.
    scram.finish(body.data()).map_err(|error| garbled(&error))
}

fn unknown() -> Refusal {
    let message =
        "the PostgreSQL server asks for a way to log in that there is not: expected trust, peer, a password or SCRAM";
    Refusal::new(RefusalReason::NotAvailable, message)
}
