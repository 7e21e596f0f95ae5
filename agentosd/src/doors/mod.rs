//! The doors: each method of the control interface as a request to an agent or the daemon, and the answer as replies.
//! Nothing is decided here but who may ask.

mod listing;
mod output;
mod running;

use crate::caller::Caller;
use crate::daemon::Daemon;
use crate::transport::{Door, Ended, Incoming, Outgoing, parse};
use protocol::control::{
    Attach, Denials, Detach, Doctor, Empty, Events, Exec, Inspect, Kill, List, Logs, Method, Remove, Resize, Run, Wait,
};
use protocol::error::ControlError;
use serde_json::{Map, Value};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Descriptors of a client with a terminal, and of one without.
const STREAMS: [usize; 2] = [2, 3];

/// Answers the calls of `io.agentos.Control`.
#[derive(Clone, Debug)]
pub(crate) struct Control(pub(crate) Arc<Daemon>);

impl Door for Control {
    async fn answer(&self, call: Incoming, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        let Incoming { method, parameters, fds, caller } = call;
        if !fds.is_empty() && !matches!(method.as_str(), "Run" | "Exec" | "Attach") {
            return Err(bad(&method, "", "this method takes no descriptors").into());
        }
        match method.as_str() {
            Run::NAME => self.run(parse(parameters)?, (fds, caller), out).await,
            Exec::NAME => self.exec(parse(parameters)?, (fds, caller), out).await,
            Attach::NAME => self.attach(parse(parameters)?, (fds, caller), out).await,
            Wait::NAME => self.wait(parse(parameters)?, &caller, out).await,
            List::NAME => self.list(parse(parameters)?, &caller, out).await,
            Logs::NAME => self.logs(parse(parameters)?, &caller, out).await,
            Events::NAME => self.events(parse(parameters)?, &caller, out).await,
            Denials::NAME => self.denials(parse(parameters)?, &caller, out).await,
            _ => self.answer_once(&method, parameters, (caller, out)).await,
        }
    }
}

impl Control {
    /// The methods with exactly one reply and nothing beside it.
    async fn answer_once(
        &self,
        method: &str,
        parameters: Map<String, Value>,
        (caller, out): (Caller, &mut Outgoing<'_>),
    ) -> Result<(), Ended> {
        match method {
            Kill::NAME => {
                let reply = self.kill(parse(parameters)?, caller).await?;
                out.last(&reply).await
            }
            Inspect::NAME => {
                let reply = self.inspect(parse(parameters)?, &caller).await?;
                out.last(&reply).await
            }
            Doctor::NAME => {
                let Doctor {} = parse(parameters)?;
                out.last(&self.doctor()).await
            }
            Detach::NAME => {
                self.detach(parse(parameters)?, &caller).await?;
                out.last(&Empty {}).await
            }
            Resize::NAME => {
                self.resize(parse(parameters)?, &caller).await?;
                out.last(&Empty {}).await
            }
            Remove::NAME => {
                self.remove(parse(parameters)?, caller).await?;
                out.last(&Empty {}).await
            }
            // The transport answers for names that the interface does not have.
            other => Err(ControlError::Internal { message: format!("the method {other} has no door") }.into()),
        }
    }
}

fn bad(method: &str, parameter: &str, expected: &str) -> ControlError {
    ControlError::BadParameter { method: method.into(), parameter: parameter.into(), expected: expected.into() }
}

/// As many descriptors as the streams of a process need.
fn check_streams(method: &str, attach: bool, terminal: bool, fds: &[OwnedFd]) -> Result<(), ControlError> {
    let expected = if attach { STREAMS[usize::from(!terminal)] } else { 0 };
    if fds.len() == expected {
        return Ok(());
    }
    let came = fds.len();
    Err(bad(
        method,
        "stdio",
        &format!("expected {expected} descriptors beside the call (attach says how many), {came} came"),
    ))
}
