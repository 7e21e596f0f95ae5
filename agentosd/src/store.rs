//! What lasts of agents: `STATE/agents/ID/{record.jsonl, output.log, denials.jsonl}` and the next id.
//!
//! A record is a line, and the last whole line counts: a change is one short write, and what a crash cut off is no line.
//! An agent's directory is renamed before its files go, so that it is never there in part. Records are versioned: a daemon
//! leaves a record of a newer version alone and does not list it; an older one is read as long as this version knows it.

mod blank;
mod version;

pub(crate) use version::set_aside;

use blank::{BLANK, Blank};
use protocol::agent::{Agent, Limits};
use protocol::denial::Completeness;
use protocol::ids::AgentId;
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The version of records that is written.
const VERSION: u32 = 1;
/// Ids that are reserved at once, so that a launch does not write the counter.
const RESERVED: u64 = 64;
/// The files in an agent's directory.
const RECORD: &str = "record.jsonl";
const OUTPUT: &str = "output.log";
/// Most directories that are made beforehand.
const MOST_BLANK: usize = 64;
/// What an agent's directory is called while it is removed.
const GOING: &str = "going";
/// Bytes of a block as `stat(2)` counts them, whatever the file system's are.
const BLOCK: u64 = 512;

/// What is known of an agent, on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// What `ps` shows.
    pub(crate) agent: Agent,
    /// The limits it got.
    pub(crate) limits: Limits,
    /// What it could see.
    pub(crate) view: Vec<String>,
    /// Names of the variables it got.
    pub(crate) environment: Vec<String>,
    /// The files that its policy was made of.
    pub(crate) policy_sources: Vec<String>,
    /// Whether its denials are listed.
    pub(crate) denial_log: Completeness,
    /// Remove the record when it has ended.
    pub(crate) remove: bool,
    /// Nobody has given it its name, so that nobody comes back to what it remembers: that goes with the record.
    #[serde(default)]
    pub(crate) nameless: bool,
}

impl Record {
    /// The record of a new agent, of which nothing more is known yet.
    pub(crate) fn new(agent: Agent, remove: bool) -> Self {
        Self {
            version: VERSION,
            agent,
            limits: Limits::default(),
            view: Vec::new(),
            environment: Vec::new(),
            policy_sources: Vec::new(),
            denial_log: Completeness::Open { listed: 0 },
            remove,
            nameless: false,
        }
    }
}

/// What could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}", path.display())]
pub(crate) struct StoreError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn fail(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { attempt, path, source }
}

/// The state directory.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
    ids: Arc<Mutex<Ids>>,
    blanks: Arc<Mutex<Vec<Blank>>>,
    blanks_made: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Ids {
    next: u64,
    reserved: u64,
}

impl Ids {
    fn give(&mut self) -> AgentId {
        self.next += 1;
        AgentId(self.next - 1)
    }
}

impl Store {
    /// Opens the directory, which the daemon holds.
    pub(crate) fn open(root: &Path) -> Result<Self, StoreError> {
        version::check(root)?;
        let agents = root.join("agents");
        DirBuilder::new().recursive(true).mode(0o700).create(&agents).map_err(fail("create", &agents))?;
        remove_going(&agents).map_err(fail("remove what is left in", &agents))?;
        let kept = kept_id(&root.join("next-id"))?;
        // A counter that was lost must not give an id twice.
        let seen = directory_numbers(&agents).map_err(fail("list", &agents))?.into_iter().max().unwrap_or(0);
        let next = u64::max(kept, seen + 1);
        let ids = Arc::new(Mutex::new(Ids { next, reserved: next }));
        Ok(Self { root: root.to_owned(), ids, blanks: Arc::default(), blanks_made: Arc::default() })
    }

    /// An id that was never given before.
    pub(crate) fn next_id(&self) -> Result<AgentId, StoreError> {
        // Nearly always there is one, and nobody is just writing to the disk.
        if let Ok(mut ids) = self.ids.try_lock()
            && ids.next < ids.reserved
        {
            return Ok(ids.give());
        }
        tokio::task::block_in_place(|| self.reserve_and_give())
    }

    /// Waits for the disk.
    fn reserve_and_give(&self) -> Result<AgentId, StoreError> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.next >= ids.reserved {
            self.write_next_id(ids.next + RESERVED)?;
            ids.reserved = ids.next + RESERVED;
        }
        Ok(ids.give())
    }

    /// Makes an agent's directory beforehand. One that cannot be made is missed, and its lack explained, by
    /// [`Self::create`].
    pub(crate) fn stock(&self) {
        let mut blanks = self.blanks.lock().unwrap_or_else(PoisonError::into_inner);
        if blanks.len() < MOST_BLANK {
            blanks.extend(self.blank().ok());
        }
    }

    fn blank(&self) -> Result<Blank, StoreError> {
        Blank::make(&self.root.join("agents"), self.blanks_made.fetch_add(1, Ordering::Relaxed))
    }

    /// Gives back what was reserved and not used.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let blanks = std::mem::take(&mut *self.blanks.lock().unwrap_or_else(PoisonError::into_inner));
        blanks.into_iter().try_for_each(Blank::remove)?;
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_next_id(ids.next)
    }

    fn write_next_id(&self, next: u64) -> Result<(), StoreError> {
        let path = self.root.join("next-id");
        // On disk before an id of it is given: after a power failure the ids must still be new.
        replace(&path, format!("{next}\n").as_bytes()).map_err(fail("write", &path))
    }

    fn directory(&self, id: AgentId) -> PathBuf {
        self.root.join("agents").join(id.to_string())
    }

    /// Where an agent's output is.
    pub(crate) fn output(&self, id: AgentId) -> PathBuf {
        self.directory(id).join(OUTPUT)
    }

    /// Where an agent's denials are.
    pub(crate) fn denials(&self, id: AgentId) -> PathBuf {
        self.directory(id).join("denials.jsonl")
    }

    /// Where the event log is.
    pub(crate) fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// Makes an agent's directory with its record and its empty output log, which is returned.
    pub(crate) fn create(&self, record: &Record) -> Result<File, StoreError> {
        let directory = self.directory(record.agent.id);
        let line = line(record).map_err(fail("write the record in", &directory))?;
        let made = self.blanks.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // One that somebody has removed, or mounted over, is as none.
        match made.map(|blank| blank.become_directory(&directory, &line)) {
            Some(Ok(output)) => Ok(output),
            Some(Err(_)) | None => self.blank()?.become_directory(&directory, &line),
        }
    }

    fn record(&self, id: AgentId) -> PathBuf {
        self.directory(id).join(RECORD)
    }

    /// Writes what an agent's record is now.
    pub(crate) fn save(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.record(record.agent.id);
        let line = line(record).map_err(fail("write", &path))?;
        let file = OpenOptions::new().append(true).open(&path);
        file.and_then(|mut file| file.write_all(&line)).map_err(fail("write", &path))
    }

    /// Makes the record of an agent that runs anew; what is there of it cannot be read, and is set aside.
    pub(crate) fn recreate(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.record(record.agent.id);
        if !self.directory(record.agent.id).exists() {
            return self.create(record).map(drop);
        }
        if path.exists() {
            version::set_aside(&path, "no record of an agent is whole in it")?;
        }
        let line = line(record).map_err(fail("write", &path))?;
        replace(&path, &line).map_err(fail("write", &path))
    }

    /// What an agent takes on disk, in bytes.
    pub(crate) fn size(&self, id: AgentId) -> Result<u64, StoreError> {
        let directory = self.directory(id);
        blocks(&directory).map(|blocks| blocks.saturating_mul(BLOCK)).map_err(fail("measure", &directory))
    }

    /// Removes everything of an agent.
    pub(crate) fn remove(&self, id: AgentId) -> Result<(), StoreError> {
        let directory = self.directory(id);
        let going = directory.with_extension(GOING);
        match fs::rename(&directory, &going).and_then(|()| fs::remove_dir_all(&going)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fail("remove", &directory)(error)),
            _ => Ok(()),
        }
    }

    /// Every record, by id. What is damaged is set aside, and then not there; what cannot be read, or is a newer daemon's, is
    /// returned as an error and left alone.
    pub(crate) fn load(&self) -> Result<Vec<Result<Record, StoreError>>, StoreError> {
        let agents = self.root.join("agents");
        let mut ids = directory_numbers(&agents).map_err(fail("list", &agents))?;
        ids.sort_unstable();
        Ok(ids.into_iter().filter_map(|id| whole(&self.record(AgentId(id))).transpose()).collect())
    }
}

/// The next id as it was written down. One that was damaged is replaced by one that was surely never given: ids begin at
/// 1, and there is no second agent in the time that one takes.
fn kept_id(path: &Path) -> Result<u64, StoreError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(1),
        Err(error) => return Err(fail("read", path)(error)),
    };
    if let Some(id) = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()) {
        return Ok(id);
    }
    version::set_aside(path, "it holds no number")?;
    Ok(crate::agent::now().0 / 1_000_000)
}

/// `None` where the record is damaged, or was at an earlier start.
fn whole(path: &Path) -> Result<Option<Record>, StoreError> {
    let read = || parse(&fs::read(path)?);
    match read() {
        Ok(record) => Ok(Some(record)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            set_aside(path, &error.to_string())?;
            Ok(None)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && version::is_aside(path) => Ok(None),
        Err(error) => Err(fail("read", path)(error)),
    }
}

/// The record in a file's bytes.
pub(crate) fn parse(bytes: &[u8]) -> io::Result<Record> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let line = last_line(bytes);
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let Versioned { version } = serde_json::from_slice(line).map_err(invalid)?;
    if version > VERSION {
        let why = format!("it has version {version}, and this agentosd knows {VERSION}");
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    serde_json::from_slice(line).map_err(invalid)
}

/// A record as it is written. The first byte ends a line that an earlier crash may have cut off; empty lines mean
/// nothing.
fn line(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = b"\n".to_vec();
    serde_json::to_writer(&mut line, record).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}

/// The last line that is whole and not empty.
fn last_line(bytes: &[u8]) -> &[u8] {
    let mut lines = bytes.rsplit(|byte| *byte == b'\n');
    // Behind the last end of a line there is nothing, or a line that was cut off.
    lines.next();
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

/// Removes directories whose removal was cut off, and those that no agent got.
fn remove_going(agents: &Path) -> io::Result<()> {
    for entry in agents.read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == GOING || extension == BLANK) {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

fn blocks(directory: &Path) -> io::Result<u64> {
    let mut blocks = directory.metadata()?.blocks();
    for entry in directory.read_dir()? {
        blocks += entry?.metadata()?.blocks();
    }
    Ok(blocks)
}

fn directory_numbers(path: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in path.read_dir()? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(numbers)
}

/// What a regular file holds. Anything else in its place is invalid, as if its bytes were damaged, and is not waited for.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "it is no regular file");
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Err(invalid()),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(invalid());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map(|_| bytes)
}

/// Replaces a file so that a reader sees the old or the new one, also after a power failure.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // What a crash has left, or a link that somebody has put there.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests;
