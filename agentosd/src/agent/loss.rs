//! When the process that serves the agent's files is lost, or one of its mounts alone: the agent is stopped or goes on, as
//! its policy says, and in either case gets new mounts, so that it can be continued.

use super::task::Task;
use crate::journal;
use crate::memory::{Link, Lost, MemoryError, Seat};
use policies::OnVfsLoss;
use protocol::event::What;
use sandbox::message::{Failure, Order};
use sandbox::plan::Part;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Why an agent is stopped.
const LOST: &str = "agentos-vfs lost its files; look, then continue it: agentctl cont";

/// How often lost files are mounted anew before an agent is stopped for want of them.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// What an agent has to do with the server.
#[derive(Debug)]
pub(super) struct Loss {
    watched: Option<Watched>,
    parts: Vec<Part>,
    answer: OnVfsLoss,
    remounting: Option<JoinHandle<Result<(), MemoryError>>>,
    /// What is being mounted anew, and how often that has failed inside.
    lost: Lost,
    failed: u32,
}

#[derive(Debug)]
struct Watched {
    seat: Arc<Seat>,
    link: watch::Receiver<Link>,
}

/// What is new.
#[derive(Debug)]
pub(super) enum News {
    /// The server is another one, or dead, or does not serve something any more.
    Lost(Lost),
    /// New mounts are made on the host, or not.
    Mounted(Result<(), String>),
    /// The server has died once more meanwhile: the next one's loss brings the next attempt.
    LostAgain,
}

impl Loss {
    pub(super) fn new(seat: Option<Arc<Seat>>, parts: Vec<Part>, answer: OnVfsLoss) -> Self {
        let watched = seat.map(|seat| Watched { link: seat.link(), seat });
        Self { watched, parts, answer, remounting: None, lost: Lost::Own, failed: 0 }
    }

    /// Tries again what has failed inside: the server may have died once more while the stage mounted its files. Whether
    /// it is tried.
    fn again(&mut self) -> bool {
        self.failed += 1;
        let Some(Watched { seat, .. }) = self.watched.as_ref().filter(|_| self.failed < TRIES) else { return false };
        if self.remounting.is_none() {
            let (seat, lost) = (Arc::clone(seat), self.lost);
            self.remounting = Some(tokio::spawn(async move {
                tokio::time::sleep(BETWEEN_TRIES).await;
                remount(seat, lost).await
            }));
        }
        true
    }
}

/// Mounts anew what is lost. What stands in the way may pass, as a full disk does.
async fn remount(seat: Arc<Seat>, lost: Lost) -> Result<(), MemoryError> {
    for _ in 1..TRIES {
        match seat.remount(lost).await {
            done @ (Ok(()) | Err(MemoryError::Gone)) => return done,
            Err(error) => {
                journal::provoked(format_args!("files cannot be mounted anew yet: {}", journal::sentence(&error)))
            }
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    seat.remount(lost).await
}

/// Waits for the next. Safe to cancel.
pub(super) async fn news(loss: Option<&mut Loss>) -> News {
    let Some(Loss { watched: Some(Watched { seat, link }), remounting, .. }) = loss else {
        return std::future::pending().await;
    };
    if let Some(work) = remounting {
        let done = work.await.unwrap_or(Err(MemoryError::Gone));
        *remounting = None;
        return match done {
            Err(MemoryError::Gone) => News::LostAgain,
            done => News::Mounted(done.map_err(|error| journal::sentence(&error))),
        };
    }
    let mut lost = None;
    let waited = link.wait_for(|link| {
        lost = seat.loss(link);
        lost.is_some()
    });
    let told = waited.await.map(|link| seat.acknowledge(&link)).is_ok();
    match lost.filter(|_| told) {
        Some(lost) => News::Lost(lost),
        None => std::future::pending().await,
    }
}

impl Task {
    pub(super) fn vfs_news(&mut self, news: News) {
        match news {
            News::Lost(lost) => self.vfs_lost(lost),
            News::Mounted(Ok(())) => {
                let Some(live) = self.live() else { return };
                let order = Order::Remount { parts: live.loss.parts.clone() };
                if let Err(error) = live.stage.link.order(&order, Vec::new()) {
                    self.cannot_remount(&error.to_string());
                }
            }
            // The next daemon finds that they are lost, and mounts them.
            News::Mounted(Err(_)) if self.daemon.ending.load(Ordering::Acquire) => {}
            News::Mounted(Err(why)) => self.cannot_remount(&why),
            News::LostAgain => {}
        }
    }

    fn vfs_lost(&mut self, lost: Lost) {
        let Some(live) = self.live() else { return };
        if let Some(Watched { seat, .. }) = &live.loss.watched {
            let seat = Arc::clone(seat);
            live.loss.lost = lost;
            live.loss.remounting = Some(tokio::spawn(remount(seat, lost)));
        }
        if live.loss.answer == OnVfsLoss::Stop {
            self.stop_for_review(LOST);
            self.event(None, What::VfsLost { outcome: "stopped for review".to_owned() });
        }
    }

    /// The stage's report.
    pub(super) fn remounted_inside(&mut self, failure: Option<Failure>) {
        match failure {
            None => {
                self.live().into_iter().for_each(|live| live.loss.failed = 0);
                self.event(None, What::VfsLost { outcome: "its files are mounted anew".to_owned() });
                self.show();
            }
            Some(failure) if self.live().is_some_and(|live| live.loss.again()) => {
                journal::provoked(format_args!("files cannot be mounted anew inside yet: {failure}"));
            }
            Some(failure) => self.cannot_remount(&failure.to_string()),
        }
    }

    /// An agent that cannot have its files is not left to go on without them.
    fn cannot_remount(&mut self, why: &str) {
        self.stop_for_review(LOST);
        let outcome = format!("its files cannot be mounted anew: {why}; stopped for review");
        self.event(None, What::VfsLost { outcome });
    }
}
