//! `agentos-vfs`: found or started, spoken to, and noticed when it dies. One task owns the connection.
//!
//! ```text
//!   reach ──► Hello ──► Link{number, mounts} ──► … ──► end of the connection ──► dead? ──► Link{number + 1} ──► start
//!                                                 └──► Ended of a watched mount ─────────► Link{number + 1}
//! ```
//! Every mount that a new link does not list is lost, and so is one that ended unasked; whoever holds one finds out by
//! comparing numbers ([`Link::lost`]).

use super::MemoryError;
use super::client::{self, Ask, Asks, Connection};
use super::process::{Program, Server};
use super::views;
use crate::journal;
use protocol::vfs::{Answer, MountId, Order, VERSION};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// How long an order may take, from the wait for a server to its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// A server that dies sooner than this is not started again at once.
const SOON: Duration = Duration::from_secs(10);
/// The first pause then, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What is known of the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    /// Counts servers, connections and losses.
    number: u64,
    /// At which this connection began.
    began: u64,
    /// Mounts of a connection before that this one's server still serves.
    kept: Arc<BTreeSet<MountId>>,
    /// Watched mounts that have ended over this connection, and at which number.
    ended: Arc<BTreeMap<MountId, u64>>,
    /// While there is a connection.
    asks: Option<Asks>,
}

impl Link {
    /// Whether a mount that was served over the link `number` is not served any more.
    pub(crate) fn lost(&self, number: u64, mount: &MountId) -> bool {
        let earlier = number < self.began && !self.kept.contains(mount);
        earlier || self.ended.get(mount).is_some_and(|at| number < *at)
    }

    /// Which it is.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next one, without a connection.
    fn next(&self) -> Self {
        let number = self.number + 1;
        Self { number, began: number, ..Self::default() }
    }
}

/// The mounts whose end, unless it is asked for, is a loss.
#[derive(Clone, Debug, Default)]
struct Watched(Arc<Mutex<BTreeSet<MountId>>>);

impl Watched {
    fn mounts(&self) -> std::sync::MutexGuard<'_, BTreeSet<MountId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server as everybody sees it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    link: watch::Receiver<Link>,
    watched: Watched,
}

impl Client {
    /// Starts to look for the server. The task that does ends when `closing` does, and with it a server that the daemon
    /// has started.
    /// Mounts of an earlier daemon that are `kept` go on.
    pub(super) fn start(
        program: Program,
        kept: BTreeSet<MountId>,
        closing: oneshot::Receiver<()>,
    ) -> (Self, JoinHandle<()>) {
        let (publish, link) = watch::channel(Link::default());
        let watched = Watched(Arc::new(Mutex::new(kept)));
        let keeper = Keeper { program, publish, watched: watched.clone(), pause: Duration::ZERO };
        (Self { link, watched }, tokio::spawn(keeper.run(closing)))
    }

    /// From before it is served, a mount's end is a loss.
    pub(super) fn watch(&self, mount: &MountId) {
        self.watched.mounts().insert(mount.clone());
    }

    /// From before it is unmounted, its end is none any more.
    pub(super) fn unwatch(&self, mount: &MountId) {
        self.watched.mounts().remove(mount);
    }

    /// To be told of another link.
    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Gives orders, one right behind the other, and waits until all are carried out. Tells over which link.
    pub(super) async fn order(&self, orders: Vec<(Order, Vec<OwnedFd>)>) -> Result<u64, MemoryError> {
        let all = async {
            let (number, asks) = self.connected().await?;
            let mut answers = Vec::new();
            for (order, fds) in orders {
                let (answer, wait) = oneshot::channel();
                asks.send(Ask { order, fds, answer }).await.map_err(|_| MemoryError::Gone)?;
                answers.push(wait);
            }
            for answer in answers {
                match answer.await.map_err(|_| MemoryError::Gone)? {
                    Answer::Failed { reason } => return Err(MemoryError::Refused { reason }),
                    Answer::Done | Answer::Welcome { .. } | Answer::Usage { .. } | Answer::Ended { .. } => {}
                }
            }
            Ok(number)
        };
        tokio::time::timeout(PATIENCE, all).await.map_err(|_| MemoryError::Silent)?
    }

    async fn connected(&self) -> Result<(u64, Asks), MemoryError> {
        let mut link = self.link.clone();
        let connected = link.wait_for(|link| link.asks.is_some()).await.map_err(|_| MemoryError::Gone)?;
        Ok((connected.number, connected.asks.clone().ok_or(MemoryError::Gone)?))
    }
}

/// Owns the connection.
struct Keeper {
    program: Program,
    publish: watch::Sender<Link>,
    watched: Watched,
    pause: Duration,
}

impl Keeper {
    async fn run(mut self, mut closing: oneshot::Receiver<()>) {
        let mut server = None;
        loop {
            let began = Instant::now();
            tokio::select! {
                biased;
                _ = &mut closing => break,
                () = self.serve(&mut server) => {}
            }
            self.publish.send_modify(|link| link.asks = None);
            self.pause = match began.elapsed() < SOON {
                true => (self.pause * 2).clamp(PAUSES.0, PAUSES.1),
                false => Duration::ZERO,
            };
            tokio::select! {
                biased;
                _ = &mut closing => break,
                () = tokio::time::sleep(self.pause) => {}
            }
        }
        if let Some(server) = server.take().filter(Server::is_ours) {
            server.end().await;
            self.program.forget();
        }
    }

    /// One connection, from the search for a server to its end.
    async fn serve(&mut self, server: &mut Option<Server>) {
        let (socket, found) = match self.program.reach().await {
            Ok(reached) => reached,
            Err(error) => return journal::error(format_args!("{}", journal::sentence(&error))),
        };
        let found = server.insert(found);
        let Connection { asks, ended, task } = match client::start(socket) {
            Ok(started) => started,
            Err(error) => return journal::error(format_args!("cannot speak to agentos-vfs: {error}")),
        };
        match hello(&asks).await {
            Ok(mounts) => {
                end_views(&asks, &mounts).await;
                self.connected(asks, mounts).await;
            }
            Err(error) => {
                journal::error(format_args!("agentos-vfs is replaced: {}", journal::sentence(&error)));
                task.abort();
                if let Some(server) = server.take() {
                    server.end().await;
                }
                return;
            }
        }
        let why = self.attend(ended, task).await;
        if found.has_ended().await {
            journal::error(format_args!("agentos-vfs has ended, and is started again"));
            *server = None;
            self.publish.send_modify(|link| *link = link.next());
        } else {
            journal::warning(format_args!("the connection to agentos-vfs has ended: {why}"));
            self.publish.send_modify(|link| link.asks = None);
        }
    }

    /// Until the connection ends, and why it did: tells of mounts that ended meanwhile.
    async fn attend(&self, mut ended: mpsc::UnboundedReceiver<MountId>, task: JoinHandle<io::Error>) -> io::Error {
        while let Some(mount) = ended.recv().await {
            let watched = self.watched.mounts();
            if watched.contains(&mount) {
                journal::error(format_args!("the files of {} are not served any more", mount.0));
                self.publish.send_modify(|link| {
                    link.number += 1;
                    let ended = Arc::make_mut(&mut link.ended);
                    ended.retain(|mount, _| watched.contains(mount));
                    ended.insert(mount, link.number);
                });
            }
        }
        task.await.unwrap_or_else(io::Error::other)
    }

    async fn connected(&self, asks: Asks, mut mounts: Vec<MountId>) {
        if self.publish.borrow().number == 0 {
            // Those of agents that this daemon has taken back are watched already.
            let watched = self.watched.mounts().clone();
            for mount in mounts.extract_if(.., |mount| !watched.contains(mount)) {
                journal::warning(format_args!("the files of {} were left by an agentosd that was killed", mount.0));
                // The answer comes before that to any order of this daemon's.
                let ask = Ask { order: Order::End { mount }, fds: Vec::new(), answer: oneshot::channel().0 };
                if let Err(error) = asks.send(ask).await {
                    journal::warning(format_args!("cannot end a mount: {error}"));
                }
            }
        }
        let kept = Arc::new(mounts.into_iter().collect());
        self.publish.send_modify(|link| *link = Link { kept, asks: Some(asks), ..link.next() });
    }
}

/// Views of an earlier daemon, for whom nobody ends them any more. After a lost connection these may be our own: whoever
/// uses one then is told by its errors, and asks again.
async fn end_views(asks: &Asks, mounts: &[MountId]) {
    for mount in mounts.iter().filter(|mount| views::is_view(mount)) {
        // Nobody needs the answer.
        let (answer, _) = oneshot::channel();
        let ask = Ask { order: Order::End { mount: mount.clone() }, fds: Vec::new(), answer };
        // With the connection, the next one is asked.
        asks.send(ask).await.unwrap_or(());
    }
}

/// The first message, and what the server serves already.
async fn hello(asks: &Asks) -> Result<Vec<MountId>, MemoryError> {
    let (answer, wait) = oneshot::channel();
    let ask = Ask { order: Order::Hello { version: VERSION }, fds: Vec::new(), answer };
    asks.send(ask).await.map_err(|_| MemoryError::Gone)?;
    let answered = tokio::time::timeout(PATIENCE, wait).await.map_err(|_| MemoryError::Silent)?;
    match answered.map_err(|_| MemoryError::Gone)? {
        Answer::Welcome { version: VERSION, mounts } => Ok(mounts),
        Answer::Welcome { version, .. } => Err(MemoryError::Version { version }),
        Answer::Failed { reason } => Err(MemoryError::Refused { reason }),
        Answer::Done | Answer::Usage { .. } | Answer::Ended { .. } => Err(MemoryError::Gone),
    }
}
