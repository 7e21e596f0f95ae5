//! agentosd ends while a foreground command runs: what it runs goes on with our streams, and so do we. The next agentosd is
//! asked for the end.

use super::Session;
use super::start::Start;
use super::target::Control;
use crate::client::Client;
use crate::failure::Failure;
use crate::show;
use protocol::agent::Exit;
use protocol::control::Rejoin;
use rustix::event::Timespec;
use std::time::{Duration, Instant};

/// How long the next agentosd is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks for it.
pub(super) const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The connection over which the end will be told.
pub(super) enum Line {
    /// The one of the call.
    Up(Client),
    /// There is no agentosd, since then.
    Down(Instant),
    /// One to a later agentosd. Until it has said that it knows what we wait for: since when there was none.
    Again(Client, Option<Instant>),
}

impl Line {
    /// The connection, if there is one.
    pub(super) fn client(&self) -> Option<&Client> {
        match self {
            Self::Up(client) | Self::Again(client, _) => Some(client),
            Self::Down(_) => None,
        }
    }
}

impl<M: Start> Session<'_, M> {
    /// What has come from a later agentosd: nothing yet, that it knows what we wait for, or the end.
    pub(super) fn heard_again(&mut self) -> Result<Option<Option<Exit>>, Failure> {
        let Line::Again(client, missing) = &mut self.line else { return Ok(None) };
        let heard = client.received::<Rejoin>()?.map(|(reply, _)| reply.exit);
        if heard.is_some() {
            *missing = None;
        }
        Ok(heard)
    }

    /// The connection has ended. Before anything runs that is a failure like any other.
    pub(super) fn lose_line(&mut self, failure: Failure) -> Result<(), Failure> {
        let (Failure::Lost { .. }, Some(target)) = (&failure, &self.target) else { return Err(failure) };
        // One that was about to end, or to begin, has taken the connection and said nothing: nothing new has happened.
        if let Line::Again(_, Some(since)) = self.line {
            self.line = Line::Down(since);
            return if since.elapsed() < PATIENCE { Ok(()) } else { Err(failure) };
        }
        show::notice(&format!(
            "agentosd has ended; what runs of {} is confined as before; waiting for the next agentosd",
            target.name
        ));
        self.line = Line::Down(Instant::now());
        Ok(())
    }

    /// Looks whether an agentosd is there again.
    pub(super) fn find_line(&mut self) -> Result<(), Failure> {
        let (&Line::Down(since), Some(target)) = (&self.line, &self.target) else { return Ok(()) };
        let rejoin = Rejoin { name: target.name.clone(), exec: target.exec, foreground: self.request.is_hung_up() };
        let connected = Client::connect(&self.socket).and_then(|mut client| {
            client.send(&rejoin, true, &[])?;
            Ok(client)
        });
        match connected {
            Ok(client) => {
                self.line = Line::Again(client, Some(since));
                self.control = Control::new(self.socket.clone());
            }
            Err(_) if since.elapsed() < PATIENCE => {}
            Err(failure) => {
                let name = &target.name;
                show::notice(&format!(
                    "no agentosd came back within {} s; how {name} ends, or has ended, the next one knows: agentctl wait {name}",
                    PATIENCE.as_secs()
                ));
                return Err(failure);
            }
        }
        Ok(())
    }
}
