//! The kernel's own denial log: every refusal by Landlock and seccomp, at no cost to what is allowed.
//!
//! ```text
//!   kernel ── audit multicast ──► netlink ──► record ──► event ──► ledger ──► each agent's sink
//!             (the whole host's)    bytes      parsed    put       whose,     with
//!                                                        together   counted    words
//! ```
//! One task ([`reader`]) owns the socket and the ledger; [`Log`] sends it orders. Settings that the host shares are
//! changed and put back in [`settings`]. What an agent floods is bounded in `event` and `ledger`, and by the socket's
//! buffer; what did not fit shows as [`Completeness::Incomplete`].

mod event;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzed;
mod ledger;
#[cfg(test)]
mod live;
mod netlink;
mod opening;
mod reader;
mod record;
mod settings;
mod system_call;
mod words;

#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use fuzzed::fuzzed;
pub use ledger::{LIST_BYTES, LIST_LENGTH};
pub use settings::{RestoreError, Settings};

use crate::violation::Touched;
use protocol::denial::{Completeness, Denial};
use reader::Order;
use rustix::process::setpriority_process;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long [`Log::finish`] waits. The kernel frees a domain one grace period after its last process was reaped.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why this host lists no denials, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(String);

impl Unavailable {
    /// The operator does not want it.
    #[must_use]
    pub fn switched_off() -> Self {
        Self("the configuration says denial_log: false".to_owned())
    }
}

/// An agent whose denials are wanted.
#[derive(Debug)]
pub struct Registration {
    /// Its own host uid.
    pub uid: u32,
    /// PID 1 inside, as the host numbers it; it makes the Landlock domain.
    pub init_pid: i32,
    /// The policy's name, for the sentences.
    pub policy: String,
    /// Where denials go, in order. A full or closed channel holds nobody up: what does not fit is counted. One with
    /// room for [`LIST_LENGTH`] is never full; a channel takes memory only for what is in it.
    pub sink: mpsc::Sender<Denial>,
    /// Where refusals go at once that touch a tripwire, also those that the list has no room for. While it is full, others
    /// like those that wait in it are dropped.
    pub alarm: mpsc::Sender<Touched>,
    /// [`Log::progress`] of before, when the daemon takes a running agent back; `None` for a new one.
    pub resume: Option<Progress>,
}

/// How far an agent's list is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The last [`Denial::seq`] given.
    pub seq: u64,
    /// Denials by the agent's own Landlock domain among them.
    pub landlock: u64,
    /// Denials that were counted and not listed.
    pub unlisted: u64,
    /// The Landlock domain, once it has refused something.
    pub domain: Option<u64>,
}

impl Progress {
    /// What is known while the agent runs.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        Completeness::Open { listed: self.seq }
    }
}

/// The open log. Clones speak to the same reader.
#[derive(Clone, Debug)]
pub struct Log {
    orders: mpsc::Sender<Order>,
    control: netlink::Control,
    claim: Arc<settings::Claim>,
}

impl Log {
    /// Switches the kernel's audit on if it is off, and starts to listen.
    ///
    /// # Errors
    /// [`Unavailable`] as a sentence with the remedy; nothing is left changed then.
    pub async fn open(settings: Settings) -> Result<Self, Unavailable> {
        let opened = tokio::task::spawn_blocking(move || opening::open(&settings)).await;
        let opened = opened.map_err(|error| Unavailable(format!("the denial log could not be opened: {error}")))??;
        let (orders, queue) = mpsc::channel(64);
        let (listener, control) = (opened.listener, opened.control.clone());
        let started = tokio::task::spawn_blocking(move || start(listener, control, queue)).await;
        let started = started.unwrap_or_else(|error| Err(io::Error::other(error)));
        started.map_err(|error| Unavailable(format!("the kernel's audit socket cannot be polled: {error}")))?;
        Ok(Self { orders, control: opened.control, claim: Arc::new(opened.claim) })
    }

    /// Lists the denials of an agent from now on. Call it before the agent's PID 1 makes its Landlock domain
    /// (between a stage's `Prepared` and `Launch`).
    pub async fn register(&self, registration: Registration) {
        let (done, wait) = oneshot::channel();
        // A reader that has ended is seen by `finish`, which then says that nothing was listed.
        if self.orders.send(Order::Register(registration, done)).await.is_ok() {
            wait.await.unwrap_or_default();
        }
    }

    /// How far an agent's list is; `None` when it is not registered.
    pub async fn progress(&self, uid: u32) -> Option<Progress> {
        let (answer, wait) = oneshot::channel();
        self.orders.send(Order::Progress(uid, answer)).await.ok()?;
        wait.await.ok()?
    }

    /// Ends an agent's list, after its last process is dead: waits at most 500 milliseconds for what is still under
    /// way. When this returns, every denial is in the sink and the sink is dropped.
    pub async fn finish(&self, uid: u32) -> Completeness {
        let gone = || Completeness::NotListed { why: "the reader of the kernel's denial log has ended".to_owned() };
        let point = netlink::fresh_sequence_point();
        let (answer, wait) = oneshot::channel();
        if self.orders.send(Order::Finish { uid, point, answer }).await.is_err() {
            return gone();
        }
        self.control.mark(point);
        wait.await.unwrap_or_else(|_| gone())
    }

    /// Stops listening and puts the host's settings back, unless another daemon still uses them or somebody has
    /// changed them since.
    ///
    /// # Errors
    /// [`RestoreError`] names the setting that stays changed.
    pub async fn close(self) -> Result<(), RestoreError> {
        let (done, wait) = oneshot::channel();
        if self.orders.send(Order::Stop(done)).await.is_ok() {
            wait.await.unwrap_or_default();
        }
        let claim = self.claim;
        let restored = tokio::task::spawn_blocking(move || claim.release()).await;
        restored.map_err(|error| RestoreError::interrupted(&error))?
    }
}

/// The nice value of the thread that reads: whoever asks comes first. A quarter of a processor is left to it where all are
/// busy; what it does not read in time the kernel counts.
const PRIORITY: i32 = 5;

/// Reads on a thread of its own: what one agent is refused without end must not keep the others' requests waiting for a
/// thread. Returns when it polls the socket.
fn start(listener: netlink::Listener, control: netlink::Control, queue: mpsc::Receiver<Order>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (started, is_started) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new().name("denials".to_owned()).spawn(move || {
        // On Linux the priority is a thread's. Without it the thread goes on as the others do.
        setpriority_process(None, PRIORITY).ok();
        runtime.block_on(async {
            let reader = match reader::Reader::new(listener, control, queue) {
                Ok(reader) => reader,
                Err(error) => return started.send(Err(error)).unwrap_or_default(),
            };
            started.send(Ok(())).unwrap_or_default();
            reader.run().await;
        });
    })?;
    is_started.recv().map_err(io::Error::other)?
}

/// Whether this kernel panics when an audit record is lost, which an agent with enough denials can bring about as soon
/// as audit is on, whoever has switched it on. `false` where there is no audit.
#[must_use]
pub fn panics_on_lost_record() -> bool {
    const PANIC: u32 = 2;
    let status = netlink::Session::open().and_then(|mut session| session.status());
    status.is_ok_and(|status| status.failure == PANIC && status.enabled != 0)
}
