//! What is known of an agent, and what of it the agent's tree shows while it runs: `status` on the host, and its own denials
//! in `/policy`.

use super::denials::Recent;
use super::task::Task;
use super::{Handle, Request};
use crate::journal;
use crate::memory::{Published, Seat};
use protocol::agent::{Details, Usage};
use protocol::denial::Completeness;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A command that ends sooner is not shown.
const FIRST: Duration = Duration::from_millis(20);
/// Between two writes of the same agent's, however much it is refused.
const PAUSE: Duration = Duration::from_millis(250);

/// Shows an agent as long as this is there.
#[derive(Debug)]
pub(super) struct Showing(JoinHandle<()>);

impl Drop for Showing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Task {
    /// Everything that is known.
    pub(super) async fn details(&self) -> Details {
        let agent = self.publish.borrow().clone();
        let listed = agent.denials.unwrap_or(0);
        let denial_log = match &self.record.denial_log {
            Completeness::Open { .. } => Completeness::Open { listed },
            known => known.clone(),
        };
        let path = self.daemon.store.output(agent.id);
        let cgroup = self.live.as_ref().map(|live| live.stage.cgroup.clone());
        let cgroups = cgroup.iter().flat_map(|c| c.directories()).map(|d| d.display().to_string()).collect();
        let usage = tokio::task::spawn_blocking(move || {
            let usage = cgroup?.usage().ok()?;
            // The log has a header a piece; close enough while it runs, exact at the end.
            let output_bytes = std::fs::metadata(path).map_or(0, |file| file.len());
            Some(Usage {
                memory_bytes: usage.memory,
                pids: usage.pids.saturating_sub(1),
                cpu_us: usage.cpu_us,
                output_bytes,
            })
        });
        Details {
            usage: usage.await.ok().flatten(),
            limits: self.record.limits,
            cgroups,
            view: self.record.view.clone(),
            environment: self.record.environment.clone(),
            policy_sources: self.record.policy_sources.clone(),
            denial_log,
            execs: self.live.as_ref().map(|live| live.furthers.running()).unwrap_or_default(),
            agent,
        }
    }

    /// Begins to show, or begins anew in another tree.
    pub(super) fn show(&mut self) {
        let handle = self.daemon.registry.run(&self.record.agent.name, self.record.agent.id);
        let Some((handle, live)) = handle.zip(self.live()) else { return };
        live.showing = live.shown().map(|(seat, recent)| Showing(tokio::spawn(show(handle, seat, recent))));
    }
}

async fn show(mut handle: Handle, seat: Arc<Seat>, mut recent: watch::Receiver<Recent>) {
    tokio::time::sleep(FIRST).await;
    recent.mark_changed();
    let mut failures = 0;
    while let Ok(details) = handle.ask(|answer| Request::Inspect { answer }).await {
        let mut files = Vec::new();
        match serde_json::to_vec_pretty(&details) {
            Ok(status) => files.push(Published::new("status", status)),
            Err(error) => journal::error(format_args!("cannot show the status of {}: {error}", handle.name())),
        }
        if recent.has_changed().unwrap_or(false) {
            files.push(Published::new("policy/denials", recent.borrow_and_update().text()));
        }
        match seat.publish(&files).await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                // Once is what an end or a loss looks like; with another server all of it is shown again.
                if failures == 2 {
                    let error = journal::sentence(&error);
                    journal::warning(format_args!("the status of {} is not shown: {error}", handle.name()));
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            changed = handle.changed() => if !changed { return },
            Ok(()) = recent.changed() => recent.mark_changed(),
        }
    }
}
