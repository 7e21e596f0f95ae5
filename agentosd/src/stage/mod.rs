//! A stage as the daemon sees it: a child process, a socket to it, and the control group that its agent is held in.

mod link;
mod pool;

use crate::journal;
pub(crate) use link::Link;
pub(crate) use pool::{Pool, Recipe};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sandbox::cgroup::{Cgroup, CgroupError, CgroupLimits};
use sandbox::message::{Failure, Order, Report};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a stage may take for a step; a mount of an unreachable network file system can hang for ever.
pub(crate) const STEP_PATIENCE: Duration = Duration::from_secs(30);
/// How long a stage that was told to end may take.
const END_PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

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
    /// The limits that the group has already.
    preset: Option<CgroupLimits>,
    /// PID 1 inside, as the host numbers it; its pidfd keeps the number from being another's.
    pub(crate) init_pid: i32,
    _init: OwnedFd,
    remains: Option<Remains>,
}

/// What must be cleared away, and how far it is from gone.
#[derive(Debug)]
struct Remains {
    child: Child,
    cgroup: Cgroup,
}

impl Stage {
    /// Starts a stage and waits until it is prepared.
    async fn prepare(recipe: Recipe, slot: String) -> Result<Self, StageError> {
        let (preset, template) = (recipe.preset, recipe.template.clone());
        let started = tokio::task::spawn_blocking(move || start(&recipe, &slot));
        let (socket, child, cgroup) = started.await.map_err(|_| StageError::Ending)??;
        let mut link = Link::new(socket)?;
        let order = Order::Prepare { cgroup: cgroup.clone(), template };
        match prepared(&mut link, &order).await {
            Ok((init, init_pid)) => {
                let remains = Some(Remains { child, cgroup: cgroup.clone() });
                Ok(Self { link, cgroup, preset, init_pid, _init: init, remains })
            }
            Err(error) => {
                drop(link);
                bury_on_a_thread(Remains { child, cgroup }).await;
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

    /// Whether a spare still waits as it should: one that says anything has failed.
    fn is_waiting(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.link.socket(), PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0))
    }

    /// Ends the stage and whatever it holds, reaps it, and removes its control group.
    pub(crate) async fn bury(mut self) {
        let remains = self.remains.take();
        // Its end of file tells the stage to kill PID 1 and to end.
        drop(self);
        if let Some(remains) = remains {
            bury_on_a_thread(remains).await;
        }
    }
}

/// A stage that nobody buried, because the task that owned it panicked: the agent ends with the socket, and no process
/// or group may be left.
impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(remains) = self.remains.take() {
            std::thread::spawn(move || remains.bury_or_say());
        }
    }
}

async fn prepared(link: &mut Link, order: &Order) -> Result<(OwnedFd, i32), StageError> {
    link.order(order, Vec::new())?;
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

fn start(recipe: &Recipe, slot: &str) -> Result<(OwnedFd, Child, Cgroup), StageError> {
    recipe.store.stock();
    recipe.memory.stock();
    let cgroup = recipe.hierarchies.create(slot)?;
    let started =
        recipe.preset.map_or(Ok(()), |preset| cgroup.limit(&preset)).map_err(StageError::from).and_then(|()| {
            let program = recipe.program.clone();
            spawn(&recipe.program).map_err(|source| StageError::Spawn { program, source })
        });
    match started {
        Ok((socket, child)) => Ok((socket, child, cgroup)),
        Err(error) => {
            cgroup.remove()?;
            Err(error)
        }
    }
}

fn spawn(program: &Path) -> io::Result<(OwnedFd, Child)> {
    let (ours, theirs) = link::pair()?;
    let mut command = Command::new(program);
    // Nothing that the standard library would have to fork for (a directory, a user): posix_spawn copies no page tables,
    // and a copy would cost the daemon a page fault for each page that it then writes.
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).env_clear();
    let child = command.spawn()?;
    Ok((ours, child))
}

async fn bury_on_a_thread(remains: Remains) {
    if let Err(error) = tokio::task::spawn_blocking(move || remains.bury_or_say()).await {
        journal::error(format_args!("cannot clear away an ended agent: {error}"));
    }
}

impl Remains {
    fn bury_or_say(self) {
        if let Err(error) = self.bury() {
            journal::error(format_args!("cannot clear away an ended agent: {}", journal::sentence(&error)));
        }
    }

    fn bury(mut self) -> Result<(), StageError> {
        // It reaps PID 1 before it ends; killed earlier it would leave that to the host's PID 1.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or(StageError::Silent)?;
        let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from)?;
        let ended = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&END_PATIENCE)).map_err(io::Error::from)?;
        if ended == 0 {
            journal::error(format_args!("agentos-stage (pid {}) did not end and is killed", self.child.id()));
            self.child.kill()?;
        }
        self.child.wait()?;
        if self.cgroup.populated()? {
            self.cgroup.kill()?;
        }
        Ok(self.cgroup.remove()?)
    }
}
