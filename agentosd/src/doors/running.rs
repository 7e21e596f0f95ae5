//! Starting processes, being connected to them, and signals.

use super::{Control, bad, pipes, streams};
use crate::agent::{Further, Request, SignalOrder};
use crate::caller::Caller;
use crate::services;
use crate::transport::{Descriptors, Ended, Outgoing, SocketError, aside_if_large};
use protocol::agent::State;
use protocol::control::{
    Attach, AttachReply, Detach, Exec, ExecReply, Kill, KillReply, Rejoin, RejoinReply, Remove, Resize, Run, RunReply,
    Wait, WaitReply,
};
use protocol::error::ControlError;
use protocol::signal::Signal;
use serde::Serialize;

impl Control {
    pub(super) async fn run(
        &self,
        (run, size): (Run, usize),
        (fds, caller): (Descriptors, Caller),
        out: &mut Outgoing<'_>,
    ) -> Result<(), Ended> {
        let fds = streams("Run", run.stdio.attach, run.stdio.terminal.is_some(), fds)?;
        let started = aside_if_large(size, || self.0.launch(run, fds, caller))?;
        let lost = || ControlError::Internal { message: "the agent's task ended".to_owned() };
        started.begun.await.map_err(|_| lost())??;
        let handle = started.handle;
        let mut reply = RunReply { name: handle.name().clone(), id: handle.id(), exit: None };
        if !out.more() {
            return out.last(&reply).await;
        }
        match told_and_then(out, &reply, handle.ended()).await {
            Ok(exit) => {
                reply.exit = Some(exit.ok_or_else(let_go)?);
                out.last(&reply).await
            }
            Err(error) => {
                handle.tell(Request::HangUp { exec: None }).await;
                Err(error)
            }
        }
    }

    pub(super) async fn exec(
        &self,
        exec: Exec,
        (fds, caller): (Descriptors, Caller),
        out: &mut Outgoing<'_>,
    ) -> Result<(), Ended> {
        let fds = streams("Exec", exec.stdio.attach, exec.stdio.terminal.is_some(), fds)?;
        let handle = self.0.registry.find(&exec.name, &caller)?;
        let further = handle.ask(|answer| Request::Exec { exec, fds, caller, answer }).await?;
        let Further { exec, ended } = further;
        let mut reply = ExecReply { exec, exit: None };
        if !out.more() {
            return out.last(&reply).await;
        }
        match told_and_then(out, &reply, ended).await {
            Ok(exit) => {
                reply.exit = Some(exit.map_err(|_| let_go())?);
                out.last(&reply).await
            }
            Err(error) => {
                handle.tell(Request::HangUp { exec: Some(exec) }).await;
                Err(error)
            }
        }
    }

    pub(super) async fn attach(
        &self,
        attach: Attach,
        (fds, caller): (Descriptors, Caller),
        out: &mut Outgoing<'_>,
    ) -> Result<(), Ended> {
        if fds.len() != 3 {
            return Err(bad("Attach", "", "expected three descriptors: standard input, output and error").into());
        }
        let fds = pipes("Attach", fds)?;
        let handle = self.0.registry.find(&attach.name, &caller)?;
        let terminal = handle.ask(|answer| Request::Attach { fds, answer }).await?;
        let mut reply = AttachReply { terminal, exit: None };
        if !out.more() {
            return out.last(&reply).await;
        }
        match told_and_then(out, &reply, handle.ended()).await {
            Ok(exit) => {
                reply.exit = Some(exit.ok_or_else(let_go)?);
                out.last(&reply).await
            }
            Err(error) => {
                // The place is free for the next client; an agent that has just ended has no use for the news.
                handle.ask(|answer| Request::Detach { exec: None, answer }).await.unwrap_or(());
                Err(error)
            }
        }
    }

    pub(super) async fn rejoin(&self, rejoin: Rejoin, caller: &Caller, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        out.require_more()?;
        let Rejoin { name, exec, foreground } = rejoin;
        let handle = self.0.registry.find(&name, caller)?;
        let ended = handle.ask(|answer| Request::Rejoin { exec, answer }).await?;
        let exit = async {
            match ended {
                Some(ended) => ended.await.ok(),
                None => handle.ended().await,
            }
        };
        match told_and_then(out, &RejoinReply { exit: None }, exit).await {
            Ok(Some(exit)) => out.last(&RejoinReply { exit: Some(exit) }).await,
            Ok(None) => Err(let_go()),
            Err(error) if foreground => {
                handle.tell(Request::HangUp { exec }).await;
                Err(error)
            }
            Err(error) => {
                handle.ask(|answer| Request::Detach { exec, answer }).await.unwrap_or(());
                Err(error)
            }
        }
    }

    pub(super) async fn wait(&self, wait: Wait, caller: &Caller, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        let handle = self.0.registry.find(&wait.name, caller)?;
        let exit = out.unless_closed(handle.ended()).await?.ok_or_else(let_go)?;
        out.last(&WaitReply { exit }).await
    }

    pub(super) async fn kill(&self, kill: Kill, caller: Caller) -> Result<KillReply, ControlError> {
        let Kill { name, signal, exec, grace_ms } = kill;
        if let Some(reserved) = signal.reserved() {
            let why = format!("{signal} is {reserved}, which only the kernel of Agent OS sends; use STOP or KILL");
            return Err(caller.not_permitted(&format!("the signal {signal}"), &why));
        }
        if grace_ms.is_some() && (signal != Signal::TERM || exec.is_some()) {
            return Err(bad("Kill", "grace_ms", "a grace period goes with TERM to the agent only"));
        }
        let held = exec.is_none() && services::ends(signal) && self.0.services.hold(&self.0, (&name, &caller));
        let found = self.0.registry.find(&name, &caller);
        // Somebody may have an agent of the name meanwhile, which is meant, too.
        let lives = found.as_ref().is_ok_and(|handle| handle.look(|agent| agent.state) != State::Exited);
        if held && !lives {
            let outcome = "it waited for its next start, and stays ended now".to_owned();
            return Ok(KillReply { outcome, effect: true });
        }
        let handle = found?;
        let order = SignalOrder { signal, exec, grace_ms, caller };
        handle.ask(|answer| Request::Signal { order, answer }).await
    }

    pub(super) async fn detach(&self, detach: Detach, caller: &Caller) -> Result<(), ControlError> {
        let handle = self.0.registry.find(&detach.name, caller)?;
        handle.ask(|answer| Request::Detach { exec: detach.exec, answer }).await
    }

    pub(super) async fn resize(&self, resize: Resize, caller: &Caller) -> Result<(), ControlError> {
        let handle = self.0.registry.find(&resize.name, caller)?;
        handle.ask(|answer| Request::Resize { exec: resize.exec, window: resize.window, answer }).await
    }

    pub(super) async fn remove(&self, remove: Remove, caller: Caller) -> Result<(), ControlError> {
        if remove.force {
            self.0.services.hold(&self.0, (&remove.name, &caller));
        }
        let handle = self.0.registry.find(&remove.name, &caller)?;
        handle.ask(|answer| Request::Remove { force: remove.force, caller, answer }).await
    }
}

/// The daemon leaves before the end is known: the connection ends without a reply, and whoever waits asks the next daemon.
fn let_go() -> Ended {
    Ended::Connection(SocketError::Closed)
}

/// Gives the first reply and waits for what the last one needs, unless the caller leaves before.
async fn told_and_then<T>(
    out: &mut Outgoing<'_>,
    first: &(impl Serialize + Sync),
    last: impl Future<Output = T> + Send,
) -> Result<T, Ended> {
    out.next(first).await?;
    out.unless_closed(last).await.map_err(Ended::from)
}
