//! The event log: one JSON line an event, in the order of their numbers, which go on over restarts.
//!
//! A thread of its own writes, so that no agent waits for the disk. Two files of 16 MiB at most are kept. A line that a
//! crash cut off is skipped by readers and closed off by the next writer.

use crate::journal;
use protocol::event::Event;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{broadcast, oneshot};

/// Bytes after which a new file is begun.
const ROTATE: u64 = 16 << 20;
/// Longest line that a reader takes; an event is bounded by the message that caused it.
const MAX_LINE: u64 = 4 << 20;
/// Events that a slow follower may be behind before it reads the file again.
const BEHIND: usize = 1024;

/// An event and whose it is: others than root see their own agents' only.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owned {
    /// The event.
    pub(crate) event: Event,
    /// The uid that asked for the agent.
    pub(crate) owner: u32,
}

/// The log.
#[derive(Clone, Debug)]
pub(crate) struct EventLog {
    path: PathBuf,
    writer: Arc<Mutex<Writer>>,
    live: broadcast::Sender<Owned>,
}

#[derive(Debug)]
struct Writer {
    next: u64,
    orders: mpsc::Sender<Order>,
}

enum Order {
    Append(Vec<u8>),
    Flushed(oneshot::Sender<()>),
}

impl EventLog {
    /// Opens the log and starts its thread.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut last = 0;
        read(path, |owned| {
            last = u64::max(last, owned.event.seq);
            true
        })?;
        let file = open_for_appending(path)?;
        let (orders, inbox) = mpsc::channel();
        let target = Target { path: path.to_owned(), file };
        std::thread::Builder::new().name("events".into()).spawn(move || target.write_all(&inbox))?;
        let writer = Arc::new(Mutex::new(Writer { next: last + 1, orders }));
        Ok(Self { path: path.to_owned(), writer, live: broadcast::channel(BEHIND).0 })
    }

    /// Adds an event; its number is given here.
    pub(crate) fn append(&self, owner: u32, mut event: Event) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        event.seq = writer.next;
        let added = line_of(&event, owner).map_err(|error| error.to_string()).and_then(|line| {
            writer.orders.send(Order::Append(line)).map_err(|_| "the event log's thread is gone".to_owned())
        });
        if let Err(why) = added {
            return journal::error(format_args!("an event was lost: {why}"));
        }
        writer.next += 1;
        // Nobody may be following.
        self.live.send(Owned { event, owner }).ok();
    }

    /// Returns when everything that was added is in the file.
    pub(crate) async fn flushed(&self) {
        let (done, wait) = oneshot::channel();
        let sent = self.writer.lock().unwrap_or_else(PoisonError::into_inner).orders.send(Order::Flushed(done));
        if sent.is_ok() {
            wait.await.ok();
        }
    }

    /// What is added from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Owned> {
        self.live.subscribe()
    }

    /// Reads what is in the files, oldest first, until `take` answers false. Blocks.
    pub(crate) fn read(&self, take: impl FnMut(Owned) -> bool) -> io::Result<()> {
        read(&self.path, take)
    }
}

fn line_of(event: &Event, owner: u32) -> serde_json::Result<Vec<u8>> {
    let mut value = serde_json::to_value(event)?;
    if let Value::Object(map) = &mut value {
        map.insert("owner".to_owned(), owner.into());
    }
    let mut line = serde_json::to_vec(&value)?;
    line.push(b'\n');
    Ok(line)
}

fn parse(line: &[u8]) -> Option<Owned> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let owner = u32::try_from(value.get("owner")?.as_u64()?).ok()?;
    Some(Owned { event: serde_json::from_value(value).ok()?, owner })
}

fn rotated(path: &Path) -> PathBuf {
    path.with_extension("jsonl.1")
}

fn read(path: &Path, mut take: impl FnMut(Owned) -> bool) -> io::Result<()> {
    for path in [rotated(path), path.to_owned()] {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while { &mut reader }.take(MAX_LINE).read_until(b'\n', &mut line)? > 0 {
            if let Some(owned) = parse(&line)
                && !take(owned)
            {
                return Ok(());
            }
            line.clear();
        }
    }
    Ok(())
}

fn open_for_appending(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// The file that is written.
struct Target {
    path: PathBuf,
    file: File,
}

impl Target {
    fn write_all(mut self, inbox: &mpsc::Receiver<Order>) {
        for order in inbox {
            match order {
                Order::Append(line) => {
                    if let Err(error) = self.append(&line) {
                        journal::error(format_args!("cannot write an event to {}: {error}", self.path.display()));
                    }
                }
                // Whoever waited may have gone.
                Order::Flushed(done) => done.send(()).unwrap_or(()),
            }
        }
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        if self.file.metadata()?.len() >= ROTATE {
            fs::rename(&self.path, rotated(&self.path))?;
            self.file = open_for_appending(&self.path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::event::What;
    use protocol::ids::{AgentId, AgentName, TimeUs};

    fn event(policy: &str) -> Event {
        let what = What::Started { policy: policy.to_owned() };
        Event { seq: 0, time_us: TimeUs(1), agent: AgentName::parse("a").unwrap(), id: AgentId(1), by: None, what }
    }

    fn numbers(log: &EventLog) -> Vec<u64> {
        let mut seen = Vec::new();
        log.read(|owned| {
            seen.push(owned.event.seq);
            true
        })
        .unwrap();
        seen
    }

    #[tokio::test]
    async fn numbers_go_on_after_a_crash_in_the_middle_of_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let log = EventLog::open(&path).unwrap();
        let mut follower = log.follow();
        (0..3).for_each(|_| log.append(7, event("base")));
        log.flushed().await;
        assert_eq!(numbers(&log), [1, 2, 3]);
        assert_eq!(follower.recv().await.unwrap().event.seq, 1);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"seq\":4,\"tim").unwrap();
        let log = EventLog::open(&path).unwrap();
        log.append(7, event("base"));
        log.flushed().await;
        assert_eq!(numbers(&log), [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn the_log_is_bounded_and_loses_the_oldest_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let log = EventLog::open(&path).unwrap();
        let large = "x".repeat(1 << 20);
        (0..40).for_each(|_| log.append(7, event(&large)));
        log.flushed().await;
        let kept = numbers(&log);
        assert!(kept.len() >= 16 && kept.len() < 40, "{kept:?}");
        assert_eq!(kept.last(), Some(&40));
        assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
}
