//! The door of one agent: its own socket, and so its own name, whatever a request says.

use crate::action::{self, Governed, Origin};
use crate::daemon::Daemon;
use crate::transport::{Door, Ended, Incoming, Outgoing, SocketError, parse};
use protocol::action::{Context, Execute};
use protocol::control::{Interface, Method as _};
use protocol::error::ControlError;
use protocol::kernel::{self, Check};
use std::sync::Arc;

/// Answers the calls of `io.agentos.Kernel` for one agent.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) daemon: Arc<Daemon>,
    pub(crate) governed: Arc<Governed>,
}

impl Door for Kernel {
    const INTERFACE: Interface = kernel::SELF;

    async fn answer(&self, call: Incoming, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        let Incoming { method, parameters, fds, caller } = call;
        if !fds.is_empty() {
            return Err(super::bad(&method, "", "this method takes no descriptors").into());
        }
        match method.as_str() {
            Execute::NAME => {
                let execute: Execute = parse(parameters)?;
                let place = out.unless_closed(self.governed.asking()).await?;
                let (daemon, governed) = (Arc::clone(&self.daemon), Arc::clone(&self.governed));
                // What was asked is answered to its end: nobody gets away with a forbidden act by hanging up.
                let doing = tokio::spawn(async move {
                    let reply = action::execute(&daemon, &governed, (execute, Origin::Agent { pid: caller.pid })).await;
                    drop(place);
                    reply
                });
                // The daemon leaves: whether it is done the next one's log says.
                let failed = |error: tokio::task::JoinError| match error.is_cancelled() {
                    true => Ended::Connection(SocketError::Closed),
                    false => ControlError::Internal { message: error.to_string() }.into(),
                };
                let reply = out.unless_closed(doing).await?.map_err(failed)?;
                out.last(&reply).await
            }
            Check::NAME => {
                let Check { action, params, context } = parse(parameters)?;
                let context = Context { approval: None, ..context };
                out.last(&action::check(&self.daemon, &self.governed, &Execute { action, params, context })).await
            }
            // The transport answers for names that the interface does not have.
            other => Err(ControlError::Internal { message: format!("the method {other} has no door") }.into()),
        }
    }
}
