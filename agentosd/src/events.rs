//! The event log: one JSON line an event, in the order of their numbers, which go on over restarts.
//!
//! A thread of its own writes, so that no agent waits for the disk. Two files of 16 MiB at most are kept. A line that a
//! crash cut off is skipped by readers and closed off by the next writer.

use crate::journal;
use protocol::event::Event;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
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
/// Bytes that a reader looks through at once.
const STEP: usize = 256 << 10;
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
        let mut kept = Kept::open(path, 0)?;
        while kept.step(|_| false)?.is_some() {}
        let last = kept.seen();
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

    /// What is in the files after a number. Blocks.
    pub(crate) fn kept(&self, after: u64) -> io::Result<Kept> {
        Kept::open(&self.path, after)
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

/// What a reader asks of an event before it is read whole.
#[derive(Debug, Deserialize)]
pub(crate) struct Head<'a> {
    seq: u64,
    /// The uid that asked for the agent.
    pub(crate) owner: u32,
    /// The agent's name.
    #[serde(borrow)]
    pub(crate) agent: Cow<'a, str>,
}

fn rotated(path: &Path) -> PathBuf {
    path.with_extension("jsonl.1")
}

/// Reads what the files held when it was made, oldest first and in steps. Blocks.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The one that is read is the last.
    files: Vec<BufReader<File>>,
    seen: u64,
}

impl Kept {
    fn open(path: &Path, after: u64) -> io::Result<Self> {
        let mut files = Vec::new();
        // The newer one first: when they are rotated in between, it is opened twice and none is left out.
        for path in [path.to_owned(), rotated(path)] {
            match File::open(&path) {
                Ok(file) => files.push(BufReader::new(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { files, seen: after })
    }

    /// The number of the last event that was looked at.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Looks through a further piece of the files; `None` at their end.
    pub(crate) fn step(&mut self, wanted: impl Fn(&Head<'_>) -> bool) -> io::Result<Option<Vec<Event>>> {
        let (mut list, mut line, mut looked_at) = (Vec::new(), Vec::new(), 0);
        while looked_at < STEP {
            let Some(file) = self.files.last_mut() else { return Ok((looked_at > 0).then_some(list)) };
            line.clear();
            let length = file.take(MAX_LINE).read_until(b'\n', &mut line)?;
            if length == 0 {
                self.files.pop();
            }
            looked_at += length;
            let Ok(head) = serde_json::from_slice::<Head<'_>>(&line) else { continue };
            if head.seq <= self.seen {
                continue;
            }
            self.seen = head.seq;
            if wanted(&head) {
                list.extend(serde_json::from_slice::<Event>(&line));
            }
        }
        Ok(Some(list))
    }
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
        Event {
            seq: 0,
            time_us: TimeUs(1),
            agent: AgentName::parse("a").unwrap(),
            id: Some(AgentId(1)),
            by: None,
            what,
        }
    }

    fn numbers(log: &EventLog) -> Vec<u64> {
        let (mut seen, mut kept) = (Vec::new(), log.kept(0).unwrap());
        while let Some(list) = kept.step(|_| true).unwrap() {
            seen.extend(list.into_iter().map(|event| event.seq));
        }
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

    #[tokio::test]
    async fn a_reader_is_given_what_it_wants_and_nothing_twice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let log = EventLog::open(&path).unwrap();
        (0..4000).for_each(|n| log.append(n % 2, event(&"x".repeat(100))));
        log.flushed().await;
        let mut kept = log.kept(1000).unwrap();
        // Rotated while it is read.
        fs::rename(&path, rotated(&path)).unwrap();
        fs::copy(rotated(&path), &path).unwrap();
        let (mut seen, mut steps) = (Vec::new(), 0);
        while let Some(list) = kept.step(|head| head.owner == 1 && head.agent == "a").unwrap() {
            seen.extend(list.into_iter().map(|event| event.seq));
            steps += 1;
        }
        assert_eq!(seen, (1001..=4000).filter(|seq| seq % 2 == 0).collect::<Vec<_>>());
        assert!(steps > 1, "not all at once");
        assert_eq!(numbers(&log), (1..=4000).collect::<Vec<_>>(), "both files hold the same");
    }
}
