//! Stages that are prepared before anybody asks for one: a launch then finds its namespaces and PID 1 there.
//!
//! One task owns the spares. One that was taken is replaced when no launch has come for a moment, because making
//! namespaces and groups takes locks that the launch itself needs; only when few are left, at once.

use super::mounts::Mounts;
use super::{Claims, Spawner, Stage, StageError};
use crate::journal;
use crate::memory::Memory;
use crate::store::Store;
use sandbox::Nursery;
use sandbox::cgroup::{CgroupLimits, Hierarchies};
use sandbox::plan::Template;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Most stages that are started at one time.
const TOGETHER: usize = 16;
/// How long no launch must have come before spares are made; a launch takes a few milliseconds.
const QUIET: Duration = Duration::from_millis(15);

/// What the names of groups begin with.
const SLOT: &str = "agent-";

/// The number of a group of ours.
pub(crate) fn slot_number(name: &str) -> Option<u64> {
    name.strip_prefix(SLOT)?.parse().ok()
}

type Asked = oneshot::Sender<Result<Stage, StageError>>;

/// How stages are made.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// The program.
    pub(crate) program: PathBuf,
    /// Who starts it.
    pub(crate) spawner: Spawner,
    /// What their mounts begin with.
    pub(crate) nursery: Nursery,
    /// Where control groups are made.
    pub(crate) hierarchies: Hierarchies,
    /// How another daemon can claim them.
    pub(crate) claims: Claims,
    /// Slots up to this one are those of stages that were claimed.
    pub(crate) last_slot: u64,
    /// Where a directory is made for each.
    pub(crate) store: Store,
    /// Where file systems are made for each.
    pub(crate) memory: Memory,
    /// Limits that a spare gets beforehand: those of the default policy. The first processor limit of a host, and the
    /// removal of the last one, make the kernel patch its scheduler, which takes milliseconds; with limited spares
    /// there always is one.
    pub(crate) preset: Option<CgroupLimits>,
    /// What the default policy shows to every agent, which a spare gets beforehand too.
    pub(crate) template: Template,
}

/// Gives out prepared stages, until it is closed.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Mutex<Option<mpsc::UnboundedSender<Asked>>>>);

impl Pool {
    /// Starts the pool; the guard is held until its last stage is gone.
    ///
    /// # Errors
    /// When the host's mounts cannot be watched.
    pub(crate) fn start(recipe: Recipe, spares: usize, alive: mpsc::Sender<()>) -> io::Result<Self> {
        let (asks, asked) = mpsc::unbounded_channel();
        let (finished, results) = mpsc::unbounded_channel();
        let keeper = Keeper {
            spares,
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            preparing: 0,
            slots: recipe.last_slot,
            mounts: Mounts::open(&recipe.template)?,
            recipe,
            last_taken: None,
            discouraged: false,
            finished,
        };
        tokio::spawn(async move {
            keeper.run(asked, results).await;
            drop(alive);
        });
        Ok(Self(Arc::new(Mutex::new(Some(asks)))))
    }

    /// Ends the spares; nothing is given out any more.
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A prepared stage.
    pub(crate) async fn take(&self) -> Result<Stage, StageError> {
        let (answer, wait) = oneshot::channel();
        {
            let asks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            asks.as_ref().ok_or(StageError::Ending)?.send(answer).map_err(|_| StageError::Ending)?;
        }
        wait.await.map_err(|_| StageError::Ending)?
    }
}

struct Keeper {
    recipe: Recipe,
    mounts: Mounts,
    spares: usize,
    ready: VecDeque<Stage>,
    waiting: VecDeque<Asked>,
    preparing: usize,
    slots: u64,
    last_taken: Option<Instant>,
    /// A preparation failed while nobody waited: try again only when somebody does.
    discouraged: bool,
    finished: mpsc::UnboundedSender<Result<Stage, StageError>>,
}

impl Keeper {
    async fn run(
        mut self,
        mut asked: mpsc::UnboundedReceiver<Asked>,
        mut results: mpsc::UnboundedReceiver<Result<Stage, StageError>>,
    ) {
        loop {
            self.hand_out().await;
            let due = self.due();
            if due.is_some_and(|due| due <= Instant::now()) {
                self.refill();
            }
            tokio::select! {
                () = until(due.filter(|due| *due > Instant::now())) => {}
                ask = asked.recv() => match ask {
                    Some(ask) => {
                        self.discouraged = false;
                        self.waiting.push_back(ask);
                    }
                    None => break,
                },
                Some(result) = results.recv() => self.take_result(result),
                () = self.mounts.changed() => {
                    let now = self.mounts.look_closely();
                    self.ready.iter_mut().for_each(|stage| stage.renew(now));
                }
            }
        }
        while self.preparing > 0 {
            match results.recv().await {
                Some(result) => self.take_result(result),
                None => break,
            }
        }
        for stage in self.ready {
            stage.bury().await;
        }
    }

    fn take_result(&mut self, result: Result<Stage, StageError>) {
        self.preparing -= 1;
        match result {
            Ok(stage) => self.ready.push_back(stage),
            // Other policies must not suffer from what the default one shows.
            Err(StageError::Failed(failure)) if self.recipe.template != Template::default() => {
                journal::warning(format_args!("sandboxes are prepared without the default policy's view: {failure}"));
                self.recipe.template = Template::default();
            }
            Err(error) => {
                journal::error(format_args!("cannot prepare a sandbox: {}", journal::sentence(&error)));
                self.discouraged = true;
                if let Some(asked) = self.waiting.pop_front() {
                    // Whoever asked may have gone.
                    asked.send(Err(error)).unwrap_or(());
                }
            }
        }
    }

    async fn hand_out(&mut self) {
        while !self.waiting.is_empty() {
            let Some(mut stage) = self.ready.pop_front() else { return };
            if !stage.is_waiting() {
                journal::warning(format_args!("a spare stage has ended and is replaced"));
                stage.bury().await;
                continue;
            }
            let Some(asked) = self.waiting.pop_front() else { return };
            self.last_taken = Some(Instant::now());
            stage.renew(self.mounts.look());
            if let Err(Ok(stage)) = asked.send(Ok(stage)) {
                self.ready.push_front(stage);
            }
        }
    }

    /// How many should be in preparation.
    fn wanted(&self) -> usize {
        let spares = if self.discouraged { 0 } else { self.spares };
        (spares + self.waiting.len()).saturating_sub(self.ready.len()).min(TOGETHER)
    }

    /// When stages are to be started, if any are missing.
    fn due(&self) -> Option<Instant> {
        if self.preparing >= self.wanted() {
            return None;
        }
        let few = !self.waiting.is_empty() || self.ready.len() + self.preparing <= self.spares / 4;
        match self.last_taken {
            Some(taken) if !few => Some(taken + QUIET),
            _ => Some(Instant::now()),
        }
    }

    fn refill(&mut self) {
        let wanted = self.wanted();
        while self.preparing < wanted {
            self.preparing += 1;
            self.slots += 1;
            let recipe = self.recipe.clone();
            let (slot, finished) = (format!("{SLOT}{}", self.slots), self.finished.clone());
            let shows = self.mounts.look();
            tokio::spawn(async move {
                let result = Stage::prepare(recipe, (slot, shows)).await;
                // The keeper waits for every result before it ends.
                finished.send(result).unwrap_or(());
            });
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
