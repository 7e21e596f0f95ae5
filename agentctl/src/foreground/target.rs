//! The process that a foreground command stands for, and what is told to the daemon about it meanwhile.

use crate::client::Client;
use crate::failure::Failure;
use protocol::agent::{ExecId, State};
use protocol::control::{Detach, Kill, Method, Resize, Window};
use protocol::error::ControlError;
use protocol::ids::AgentName;
use protocol::signal::Signal;
use std::path::PathBuf;
use std::time::Duration;

/// How long agentosd may take to answer while the person waits at a terminal that does nothing; a stop takes ten seconds
/// at most.
const PATIENCE: Duration = Duration::from_secs(12);

/// An agent, or a further process in it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The agent.
    pub(crate) name: AgentName,
    /// The further process.
    pub(crate) exec: Option<ExecId>,
}

/// A second connection, made when it is first needed: most foreground commands never are signalled.
pub(crate) struct Control {
    socket: PathBuf,
    client: Option<Client>,
}

impl Control {
    /// Will connect to `socket`.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, client: None }
    }

    /// Sends a signal on. That the process has ended meanwhile is no error.
    pub(crate) fn kill(&mut self, target: &Target, signal: Signal) -> Result<(), Failure> {
        let Target { name, exec } = target.clone();
        self.tell(&Kill { name, signal, exec, grace_ms: None })
    }

    /// Tells the terminal's size.
    pub(crate) fn resize(&mut self, target: &Target, window: Window) -> Result<(), Failure> {
        let Target { name, exec } = target.clone();
        self.tell(&Resize { name, exec, window })
    }

    /// Says that we leave on purpose.
    pub(crate) fn detach(&mut self, target: &Target) -> Result<(), Failure> {
        let Target { name, exec } = target.clone();
        self.tell(&Detach { name, exec })
    }

    fn tell<M: Method>(&mut self, request: &M) -> Result<(), Failure> {
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(Client::connect(&self.socket)?),
        };
        match client.call_within(request, PATIENCE) {
            Ok(_) => Ok(()),
            Err(Failure::Refused(error)) if has_ended(&error) => Ok(()),
            Err(failure) => {
                self.client = None;
                Err(failure)
            }
        }
    }
}

/// Whether a refusal only says that we came too late; the end itself is told on the first connection.
fn has_ended(error: &ControlError) -> bool {
    matches!(error, ControlError::WrongState { state: State::Exited, .. } | ControlError::NoSuchAgent { .. })
}
