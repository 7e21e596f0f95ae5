//! A stage as the daemon sees it: a process, a socket to it, and the control group that its agent is held in. It may be
//! another daemon's child: it outlives the one that started it.

mod claim;
mod link;
mod mounts;
mod pool;
mod remains;
mod spawner;

use crate::journal;
pub(crate) use claim::{Claimed, Claims, claim_all};
pub(crate) use link::Link;
pub(crate) use pool::{Pool, Recipe, slot_number};
pub(crate) use spawner::Spawner;

use remains::Remains;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sandbox::cgroup::{Cgroup, CgroupError, CgroupLimits};
use sandbox::message::{Failure, Order, Report};
use sandbox::mounts::Generation;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

/// How long a stage may take for a step; a mount of an unreachable network file system can hang for ever.
pub(crate) const STEP_PATIENCE: Duration = Duration::from_secs(30);
/// How long a stage may take to read that it is dismissed.
const DISMISSAL: Duration = Duration::from_secs(1);

/// Thousandths of a processor that no host has.
const NO_CPU_LIMIT: u64 = 10_000_000;

/// Why there is no stage.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// The program cannot be started.
    #[error("cannot start {}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its control group cannot be made.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// It says what failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The socket to it failed.
    #[error("the socket to agentos-stage failed")]
    Socket(#[from] io::Error),
    /// It ended, or said something else.
    #[error("agentos-stage ended without a report; its last words are in the daemon's own log")]
    Silent,
    /// It did not answer.
    #[error("agentos-stage did not answer within {} seconds", STEP_PATIENCE.as_secs())]
    Stuck,
    /// The pool has ended.
    #[error("agentosd is ending")]
    Ending,
}

/// A prepared stage: PID 1 waits in its namespaces and its control group.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Orders and reports.
    pub(crate) link: Link,
    /// Where the agent is held.
    pub(crate) cgroup: Cgroup,
    /// Which of the host's mounts it shows, while it is a spare.
    shows: Option<Generation>,
    /// The limits that the group has already.
    preset: Option<CgroupLimits>,
    /// PID 1 inside, as the host numbers it; its pidfd keeps the number from being another's.
    pub(crate) init_pid: i32,
    _init: OwnedFd,
    /// Ours to clear away.
    remains: Option<Remains>,
    /// The same of one that was claimed and is not taken on yet: should the daemon's start fail, the agent goes on.
    claimed: Option<Remains>,
}

impl Stage {
    /// Starts a stage and waits until it is prepared.
    async fn prepare(recipe: Recipe, (slot, shows): (String, Option<Generation>)) -> Result<Self, StageError> {
        let (preset, template) = (recipe.preset, recipe.template.clone());
        let claim = recipe.claims.of(&slot);
        let nursery = recipe.nursery.as_fd().try_clone_to_owned()?;
        let place = claim.socket.clone();
        let started = tokio::task::spawn_blocking(move || start(&recipe, &slot));
        let (socket, process, cgroup) = started.await.map_err(|_| StageError::Ending)??;
        let remains = Remains { process, cgroup: cgroup.clone(), place };
        let mut link = Link::new(socket)?;
        let order = Order::Prepare { cgroup: cgroup.clone(), template, claim };
        match prepared(&mut link, (&order, nursery)).await {
            Ok((init, init_pid)) => {
                let remains = Some(remains);
                Ok(Self { link, cgroup, shows, preset, init_pid, _init: init, remains, claimed: None })
            }
            Err(error) => {
                drop(link);
                remains.bury_on_a_thread().await;
                Err(error)
            }
        }
    }

    /// Sets the agent's limits. The kernel may take its time over them, so others get the thread's tasks meanwhile.
    pub(crate) fn limit(&self, wanted: &CgroupLimits) -> Result<(), CgroupError> {
        let mut wanted = *wanted;
        match self.preset {
            Some(preset) if preset == wanted => return Ok(()),
            // A group that has a processor limit cannot lose it; this one is above every host's processors.
            Some(CgroupLimits { cpu_milli: Some(_), .. }) if wanted.cpu_milli.is_none() => {
                wanted.cpu_milli = Some(NO_CPU_LIMIT);
            }
            _ => {}
        }
        tokio::task::block_in_place(|| self.cgroup.limit(&wanted))
    }

    /// Waits until the main process of the plan that was ordered runs, and gives its pidfd.
    pub(crate) async fn started(&mut self) -> Result<OwnedFd, StageError> {
        let report = tokio::time::timeout(STEP_PATIENCE, self.link.next()).await.map_err(|_| StageError::Stuck)??;
        match report {
            Some((Report::Started { .. }, mut fds)) => fds.pop().ok_or(StageError::Silent),
            Some((Report::Failed { failure, .. }, _)) => Err(failure.into()),
            _ => Err(StageError::Silent),
        }
    }

    /// Has a spare show the host's mounts as they are.
    fn renew(&mut self, now: Option<Generation>) {
        if now.is_some() && self.shows == now {
            return;
        }
        self.shows = now;
        // One that takes no orders is found out when it is to launch.
        if let Err(error) = self.link.order(&Order::Renew, Vec::new()) {
            journal::warning(format_args!("a spare agentos-stage takes no orders: {error}"));
        }
    }

    /// Whether a spare still waits as it should: one that says anything has failed.
    fn is_waiting(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.link.socket(), PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0))
    }

    /// Ends the stage and whatever it holds, reaps it, and removes its control group.
    pub(crate) async fn bury(mut self) {
        let remains = self.remains.take().or(self.claimed.take());
        self.dismiss();
        // One that does not read is killed with its group.
        if !matches!(tokio::time::timeout(DISMISSAL, self.link.flushed()).await, Ok(Ok(()))) {
            journal::warning(format_args!("agentos-stage in {} takes no orders", self.cgroup.unified().display()));
        }
        drop(self);
        if let Some(remains) = remains {
            remains.bury_on_a_thread().await;
        }
    }

    /// From now on it is ours, and ends with the agent.
    pub(crate) fn take_on(&mut self) {
        self.remains = self.claimed.take();
    }

    /// Lets go of it: it goes on, and the next daemon claims it.
    pub(crate) fn leave(mut self) {
        self.remains = None;
    }

    fn dismiss(&mut self) {
        // One that cannot be told is killed by whoever waits for its end.
        if let Err(error) = self.link.order(&Order::Dismiss, Vec::new()) {
            journal::warning(format_args!("agentos-stage takes no orders: {error}"));
        }
    }
}

/// A stage that nobody buried, because the task that owned it panicked: the agent ends with the socket, and no process
/// or group may be left.
impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(remains) = self.remains.take() {
            self.dismiss();
            std::thread::spawn(move || remains.bury_or_say());
        }
    }
}

async fn prepared(link: &mut Link, (order, nursery): (&Order, OwnedFd)) -> Result<(OwnedFd, i32), StageError> {
    link.order(order, vec![nursery])?;
    let report = tokio::time::timeout(STEP_PATIENCE, link.next()).await.map_err(|_| StageError::Stuck)??;
    match report {
        Some((Report::Prepared, mut fds)) => {
            let init = fds.pop().ok_or(StageError::Silent)?;
            let pid = pid_of(&init)?;
            Ok((init, pid))
        }
        Some((Report::Failed { failure, .. }, _)) => Err(failure.into()),
        _ => Err(StageError::Silent),
    }
}

/// The number of a pidfd's process, in our PID namespace.
pub(crate) fn pid_of(pidfd: &OwnedFd) -> io::Result<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.filter(|pid| *pid > 0).ok_or_else(|| io::Error::other("a pidfd of a process that has ended"))
}

fn start(recipe: &Recipe, slot: &str) -> Result<(OwnedFd, OwnedFd, Cgroup), StageError> {
    recipe.store.stock();
    recipe.memory.stock();
    let cgroup = recipe.hierarchies.create(slot)?;
    let started =
        recipe.preset.map_or(Ok(()), |preset| cgroup.limit(&preset)).map_err(StageError::from).and_then(|()| {
            let program = recipe.program.clone();
            recipe.spawner.spawn(&recipe.program).map_err(|source| StageError::Spawn { program, source })
        });
    match started {
        Ok((socket, process)) => Ok((socket, process, cgroup)),
        Err(error) => {
            cgroup.remove()?;
            Err(error)
        }
    }
}
