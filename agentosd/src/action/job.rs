//! A confined process that carries out one action: a stage of its own with a plan that has this action's rights.

use super::governed::{Doing, Governed, PlaceTaken};
use crate::daemon::Daemon;
use crate::gate::Refusal;
use crate::journal;
use crate::stage::{Stage, StageError};
use protocol::action::RefusalReason;
use protocol::audit::StoppedBy;
use protocol::executor::{MAX_LINE, Order, Report};
use rustix::pipe::{PipeFlags, pipe_with};
use sandbox::cgroup::CgroupLimits;
use sandbox::message::{Failure, Order as StageOrder, Report as StageReport};
use sandbox::plan::Plan;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe;

/// ENOENT, ENOTDIR, ELOOP, EACCES (`errno(3)`): the errors of a path that a caller has named.
const ABSENT: [i32; 2] = [2, 20];
const LINK: i32 = 40;
const REFUSED: i32 = 13;

/// It.
#[derive(Debug)]
pub(super) struct Job {
    stage: Stage,
    input: Option<pipe::Sender>,
    output: BufReader<pipe::Receiver>,
    errors: pipe::Receiver,
    _place: PlaceTaken,
}

/// What a program wrote, and how it ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Standard output.
    pub(super) output: Vec<u8>,
    /// Standard error.
    pub(super) errors: Vec<u8>,
    /// Either is not whole.
    pub(super) cut: bool,
    /// As `wait(2)` gives it.
    pub(super) status: i32,
}

impl Job {
    /// Builds the sandbox and starts the plan's process in it.
    pub(super) async fn start(
        daemon: &Daemon,
        governed: &Governed,
        (plan, limits, doing): (Plan, &CgroupLimits, Doing),
    ) -> Result<Self, Refusal> {
        let mut place = governed.running.begin(doing)?;
        let mut stage = daemon.pool.take().await.map_err(|error| not_started(&error))?;
        let begun = begin(&mut stage, plan, limits).await;
        let held = begun.and_then(|streams| governed.running.hold(&mut place, &stage.cgroup).map(|()| streams));
        match held {
            Ok((input, output, errors)) => {
                Ok(Self { stage, input: Some(input), output: BufReader::new(output), errors, _place: place })
            }
            Err(refusal) => {
                stage.bury().await;
                Err(refusal)
            }
        }
    }

    /// Tells the executor something.
    pub(super) async fn say(&mut self, order: &Order) -> Result<(), Refusal> {
        let mut line = serde_json::to_vec(order).map_err(|error| internal(&error))?;
        line.push(b'\n');
        let input = self.input.as_mut().ok_or_else(silent)?;
        input.write_all(&line).await.map_err(|error| internal(&error))
    }

    /// What the executor says next.
    pub(super) async fn hear(&mut self) -> Result<Report, Refusal> {
        let mut line = Vec::new();
        let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let read = (&mut self.output).take(most).read_until(b'\n', &mut line).await;
        read.map_err(|error| internal(&error))?;
        if line.pop() != Some(b'\n') {
            return Err(silent());
        }
        serde_json::from_slice(&line).map_err(|error| internal(&error))
    }

    /// Gives the program what it reads, and takes what it writes, at most so many bytes of each stream; then its end.
    pub(super) async fn collect(mut self, stdin: &[u8], most: u64) -> Result<Ended, Refusal> {
        let input = self.input.take();
        let feeding = async move {
            if let Some(mut input) = input {
                // A program need not read all of it.
                input.write_all(stdin).await.ok();
            }
        };
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let reading = async {
            let (a, b) =
                tokio::join!(drain(&mut self.output, &mut output, most), drain(&mut self.errors, &mut errors, most));
            Ok::<bool, io::Error>(a? | b?)
        };
        let ((), cut) = tokio::join!(feeding, reading);
        let cut = cut.map_err(|error| internal(&error))?;
        let status = loop {
            match self.stage.link.next().await {
                Ok(Some((StageReport::Ended { status, .. }, _))) => break status,
                Ok(Some((StageReport::ClientGone { .. } | StageReport::Exited { .. }, _))) => {}
                _ => return Err(silent()),
            }
        };
        self.end().await;
        Ok(Ended { output, errors, cut, status })
    }

    /// Ends it and waits until nothing of it is left.
    pub(super) async fn end(self) {
        self.stage.bury().await;
    }
}

type Streams = (pipe::Sender, pipe::Receiver, pipe::Receiver);

async fn begin(stage: &mut Stage, plan: Plan, limits: &CgroupLimits) -> Result<Streams, Refusal> {
    stage.limit(limits).map_err(|error| internal(&error))?;
    let (fds, streams) = streams().map_err(|error| internal(&error))?;
    let served = !plan.parts.is_empty();
    let order =
        |stage: &mut Stage, order: StageOrder, fds| stage.link.order(&order, fds).map_err(|error| internal(&error));
    order(stage, StageOrder::Launch { plan: Box::new(plan) }, fds)?;
    if served {
        order(stage, StageOrder::Served, Vec::new())?;
    }
    stage.started().await.map(drop).map_err(|error| not_started(&error))?;
    Ok(streams)
}

/// The stage's ends behind the log that nobody reads, and ours.
fn streams() -> io::Result<(Vec<OwnedFd>, Streams)> {
    let (input, feed) = pipe_with(PipeFlags::CLOEXEC)?;
    let (output, out) = pipe_with(PipeFlags::CLOEXEC)?;
    let (errors, err) = pipe_with(PipeFlags::CLOEXEC)?;
    for ours in [&feed, &output, &errors] {
        rustix::io::ioctl_fionbio(ours, true)?;
    }
    let log = OpenOptions::new().write(true).open("/dev/null")?;
    let ours = (
        pipe::Sender::from_owned_fd(feed)?,
        pipe::Receiver::from_owned_fd(output)?,
        pipe::Receiver::from_owned_fd(errors)?,
    );
    Ok((vec![log.into(), input, out, err], ours))
}

/// Reads to the end and keeps the first bytes; true when there were more.
async fn drain(source: &mut (impl tokio::io::AsyncRead + Unpin), kept: &mut Vec<u8>, most: u64) -> io::Result<bool> {
    source.take(most).read_to_end(kept).await?;
    let rest = tokio::io::copy(source, &mut tokio::io::sink()).await?;
    Ok(rest > 0)
}

/// What a caller named may not be there, or lead through a link; the rest is our own.
fn not_started(error: &StageError) -> Refusal {
    let (reason, stopped_by) = match error {
        StageError::Failed(Failure::Setup { errno, .. } | Failure::Exec { errno }) => match *errno {
            errno if ABSENT.contains(&errno) => (RefusalReason::NotFound, StoppedBy::Mount),
            LINK => (RefusalReason::PathEscapes, StoppedBy::Mount),
            REFUSED => (RefusalReason::HostRefused, StoppedBy::Mount),
            _ => (RefusalReason::Internal, StoppedBy::Policy),
        },
        StageError::Ending => (RefusalReason::DaemonLeaving, StoppedBy::Policy),
        _ => (RefusalReason::Internal, StoppedBy::Policy),
    };
    Refusal { stopped_by, ..Refusal::new(reason, journal::sentence(error)) }
}

fn internal(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(RefusalReason::Internal, journal::sentence(error))
}

fn silent() -> Refusal {
    Refusal::new(RefusalReason::Internal, "the process that was to do it ended without a word")
}
