//! Stages of an earlier daemon, found by their sockets and claimed.

use super::remains::Remains;
use super::{Link, Stage, StageError, pid_of};
use crate::journal;
use crate::memo::Memo;
use crate::store::{read_file, replace, set_aside};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sandbox::message::{Claim, Holding, Kept, Key, Order, Report};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The directory of the sockets, in the run directory.
const DIRECTORY: &str = "stages";
/// The key's file in the state directory, and the copy of it in the run directory; and its length in bytes.
const KEY: &str = "stage.key";
const KEY_LENGTH: usize = 32;
/// How long a stage may take to answer: it can be waiting for an agent to freeze. All are asked at the same time.
const PATIENCE: Duration = Duration::from_secs(12);

/// How stages can be claimed: where they listen, and what the claimant must know.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    directory: PathBuf,
    copy: PathBuf,
    key: Key,
}

impl Claims {
    /// Makes the directory, and the key when there is none. It is kept twice, on two file systems as a rule: without it no
    /// stage can be claimed, and those that run are ended with their agents.
    pub(crate) fn open(state: &Path, run: &Path) -> io::Result<Self> {
        let directory = run.join(DIRECTORY);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        std::fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        let (own, copy) = (state.join(KEY), run.join(KEY));
        let key = key([&own, &copy])?;
        Ok(Self { directory, copy, key })
    }

    /// Of one stage.
    pub(super) fn of(&self, slot: &str) -> Claim {
        Claim { socket: self.directory.join(format!("{slot}.sock")), key: self.key.clone() }
    }

    fn sockets(&self) -> io::Result<Vec<PathBuf>> {
        self.directory.read_dir()?.map(|entry| Ok(entry?.path())).collect()
    }

    /// Takes the directory away, when no stage is left.
    pub(crate) fn close(&self) -> io::Result<()> {
        std::fs::remove_file(&self.copy)?;
        std::fs::remove_dir(&self.directory)
    }
}

/// The first that is whole counts, and is put in the place of the other.
fn key(paths: [&Path; 2]) -> io::Result<Key> {
    let mut found = [const { None }; 2];
    for (path, found) in paths.iter().zip(&mut found) {
        *found = match read_file(path) {
            Ok(text) if is_key(&text) => String::from_utf8(text).ok(),
            Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound) => {
                return Err(error);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            _ => {
                set_aside(path, "it holds no key").map_err(io::Error::other)?;
                None
            }
        };
    }
    let text = match found.iter().flatten().next() {
        Some(text) => text.clone(),
        None => random()?,
    };
    for (path, found) in paths.iter().zip(&found) {
        if found.as_ref() != Some(&text) {
            replace(path, text.as_bytes())?;
        }
    }
    Ok(Key::new(text))
}

fn is_key(text: &[u8]) -> bool {
    text.len() == 2 * KEY_LENGTH && text.iter().all(u8::is_ascii_hexdigit)
}

fn random() -> io::Result<String> {
    let mut bytes = [0; KEY_LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(20);

/// A stage of an earlier daemon, with its agent.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// It.
    pub(crate) stage: Stage,
    /// The main process's pidfd.
    pub(crate) main: OwnedFd,
    /// What it tells of itself.
    pub(crate) holding: Holding,
    /// What it has kept.
    pub(crate) kept: BTreeMap<Kept, OwnedFd>,
    /// What the daemon that launched it has written down.
    pub(crate) memo: Memo,
}

/// Claims every stage that answers. What cannot be claimed is said, and its socket removed; what lives in its group is
/// ended with the other leftovers.
pub(crate) async fn claim_all(claims: &Claims) -> io::Result<Vec<Claimed>> {
    let attempts: Vec<_> = claims
        .sockets()?
        .into_iter()
        .map(|path| {
            let key = claims.key.clone();
            tokio::spawn(async move { (claim(&path, key).await, path) })
        })
        .collect();
    let mut claimed = Vec::new();
    for attempt in attempts {
        match attempt.await.map_err(io::Error::other)? {
            (Ok(stage), _) => claimed.push(stage),
            (Err(error), path) => {
                // A spare ends with its daemon, and leaves its socket.
                if !matches!(&error, StageError::Socket(error) if error.kind() == io::ErrorKind::ConnectionRefused) {
                    let error = journal::sentence(&error);
                    journal::warning(format_args!("{} cannot be claimed: {error}", path.display()));
                }
                // What is no socket of a stage stops nobody's start.
                if let Err(error) = std::fs::remove_file(&path) {
                    journal::warning(format_args!("cannot remove {}: {error}", path.display()));
                }
            }
        }
    }
    Ok(claimed)
}

async fn claim(path: &Path, key: Key) -> Result<Claimed, StageError> {
    let socket = reach(path).await?;
    // Of a listening socket's peer the kernel says who made it listen.
    let peer = socket_peercred(&socket).map_err(io::Error::from)?;
    let process = pidfd_open(peer.pid, PidfdFlags::empty()).map_err(io::Error::from)?;
    let stage = fcntl_dupfd_cloexec(&process, 0).map_err(io::Error::from)?;
    let claimed = claim_over((path, socket), process, key).await;
    // A stage that nobody can claim would wait for ever to be dismissed, and hold its block of uids.
    if claimed.is_err() && is_stage(peer.pid) {
        // It may have ended just now.
        pidfd_send_signal(&stage, Signal::KILL).ok();
    }
    claimed
}

/// Whether a process is one of ours, and not something that listens there by mistake.
fn is_stage(pid: Pid) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
    name.is_ok_and(|name| name.trim_end() == "agentos-stage")
}

async fn claim_over((path, socket): (&Path, OwnedFd), process: OwnedFd, key: Key) -> Result<Claimed, StageError> {
    let mut link = Link::new(socket)?;
    link.order(&Order::Claim { key }, Vec::new())?;
    let report = tokio::time::timeout(PATIENCE, link.next()).await.map_err(|_| StageError::Stuck)??;
    let Some((Report::Claimed(holding), fds)) = report else { return Err(StageError::Silent) };
    let mut fds = fds.into_iter();
    let (init, main) = fds.next().zip(fds.next()).ok_or(StageError::Silent)?;
    let mut kept: BTreeMap<Kept, OwnedFd> = holding.kept.iter().copied().zip(fds).collect();
    let memo = kept.remove(&Kept::Memo).ok_or(StageError::Silent)?;
    let memo = Memo::read(memo)?;
    let init_pid = if holding.ended { pid_of(&init).unwrap_or(0) } else { pid_of(&init)? };
    let remains = Remains { process, cgroup: memo.cgroup.clone(), place: path.to_owned() };
    let cgroup = memo.cgroup.clone();
    let (remains, claimed) = (None, Some(remains));
    let stage = Stage { link, cgroup, shows: None, preset: None, init_pid, _init: init, remains, claimed };
    Ok(Claimed { stage, main, holding, kept, memo })
}

/// Connects; claimants that have died may stand in the queue before us.
async fn reach(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let (address, deadline) = (SocketAddrUnix::new(path)?, Instant::now() + PATIENCE);
    loop {
        match connect(&socket, &address) {
            Err(Errno::AGAIN) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            connected => return connected.map(|()| socket).map_err(Into::into),
        }
    }
}
