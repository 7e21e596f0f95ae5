//! What is written while agents run: output, events, denials; followed if asked.

use super::{Control, listing::pages};
use crate::agent::{Handle, Request};
use crate::caller::Caller;
use crate::daemon::internal;
use crate::events::Owned;
use crate::transport::{Ended, Outgoing};
use protocol::agent::State;
use protocol::bytes::Bytes;
use protocol::control::{Denials, DenialsReply, Events, EventsReply, LogEntry, Logs, LogsReply, Stream};
use protocol::denial::Denial;
use protocol::event::Event;
use protocol::ids::TimeUs;
use protocol::wire::PAGE;
use sandbox::log;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How often a followed file is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Output in one reply; base64 makes it a page.
const CHUNK: usize = PAGE * 5 / 8;

impl Control {
    pub(super) async fn logs(&self, logs: Logs, caller: &Caller, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        if logs.follow {
            out.require_more()?;
        }
        let handle = self.0.registry.find(&logs.name, caller)?;
        let path = self.0.store.output(handle.id());
        let mut offset = 0;
        loop {
            // Looked at before the file: what was written before the end is then in the file.
            let ended = handle.now().state == State::Exited;
            let (entries, next) = read_log(path.clone(), offset).await?;
            let whole = entries.is_empty();
            offset = next;
            match (whole, out.more()) {
                (_, false) => return out.last(&LogsReply { entries }).await,
                (false, true) => out.next(&LogsReply { entries }).await?,
                (true, true) if ended || !logs.follow => return out.last(&LogsReply { entries }).await,
                (true, true) => out.unless_closed(tokio::time::sleep(LOOK)).await?,
            }
        }
    }

    pub(super) async fn events(&self, events: Events, caller: &Caller, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        if events.follow {
            out.require_more()?;
        }
        let wanted = |owned: &Owned| {
            (caller.is_root() || caller.uid == owned.owner)
                && events.name.as_ref().is_none_or(|name| *name == owned.event.agent)
        };
        let mut live = self.0.events.follow();
        let mut seen = 0;
        loop {
            let list = self.kept_events(seen).await?;
            seen = list.last().map_or(seen, |owned| owned.event.seq);
            let list: Vec<Event> = list.into_iter().filter(wanted).map(|owned| owned.event).collect();
            send_events(list, events.follow, out).await?;
            if !events.follow {
                return Ok(());
            }
            // A follower that is too far behind reads the file again.
            while let Some(owned) = out.unless_closed(receive(&mut live, seen)).await? {
                seen = owned.event.seq;
                if wanted(&owned) {
                    out.next(&EventsReply { events: vec![owned.event] }).await?;
                }
            }
        }
    }

    /// Events in the file after a number.
    async fn kept_events(&self, after: u64) -> Result<Vec<Owned>, Ended> {
        let log = self.0.events.clone();
        log.flushed().await;
        let read = tokio::task::spawn_blocking(move || {
            let mut list = Vec::new();
            log.read(|owned| {
                if owned.event.seq > after {
                    list.push(owned);
                }
                true
            })?;
            Ok::<_, io::Error>(list)
        });
        Ok(joined(read.await).map_err(|error| internal(&error))?)
    }

    pub(super) async fn denials(&self, denials: Denials, caller: &Caller, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        if denials.follow {
            out.require_more()?;
        }
        let mut handle = self.0.registry.find(&denials.name, caller)?;
        let path = self.0.store.denials(handle.id());
        let mut offset = 0;
        let mut completeness = None;
        loop {
            let settled = completeness.is_some();
            let (list, next) = read_lines(path.clone(), offset).await?;
            offset = next;
            let mut pages = pages(list, |denial: &Denial| serde_json::to_vec(denial).map_or(0, |bytes| bytes.len()));
            if settled || !denials.follow {
                if completeness.is_none() {
                    completeness = Some(inspect(&handle).await?);
                }
                let last = pages.pop().unwrap_or_default();
                if out.more() {
                    for denials in pages {
                        out.next(&DenialsReply { denials, completeness: None }).await?;
                    }
                    return out.last(&DenialsReply { denials: last, completeness }).await;
                }
                let denials = if pages.is_empty() { last } else { pages.swap_remove(0) };
                return out.last(&DenialsReply { denials, completeness }).await;
            }
            for denials in pages {
                out.next(&DenialsReply { denials, completeness: None }).await?;
            }
            if handle.now().state == State::Exited {
                completeness = Some(out.unless_closed(settle(&handle)).await??);
            } else {
                out.unless_closed(handle.changed()).await?;
            }
        }
    }
}

async fn inspect(handle: &Handle) -> Result<protocol::denial::Completeness, protocol::error::ControlError> {
    let details = if handle.now().state == State::Exited {
        handle.ask(|answer| Request::Settled { answer }).await?
    } else {
        handle.ask(|answer| Request::Inspect { answer }).await?
    };
    Ok(details.denial_log)
}

async fn settle(handle: &Handle) -> Result<protocol::denial::Completeness, protocol::error::ControlError> {
    Ok(handle.ask(|answer| Request::Settled { answer }).await?.denial_log)
}

async fn send_events(list: Vec<Event>, follow: bool, out: &mut Outgoing<'_>) -> Result<(), Ended> {
    let mut pages = pages(list, |event: &Event| serde_json::to_vec(event).map_or(0, |bytes| bytes.len()));
    let last = pages.pop().unwrap_or_default();
    if !out.more() {
        let events = if pages.is_empty() { last } else { pages.swap_remove(0) };
        return out.last(&EventsReply { events }).await;
    }
    for events in pages {
        out.next(&EventsReply { events }).await?;
    }
    match follow {
        true if last.is_empty() => Ok(()),
        true => out.next(&EventsReply { events: last }).await,
        false => out.last(&EventsReply { events: last }).await,
    }
}

/// The next event after a number; `None` when some were missed, or none will come.
async fn receive(live: &mut tokio::sync::broadcast::Receiver<Owned>, after: u64) -> Option<Owned> {
    loop {
        match live.recv().await {
            Ok(owned) if owned.event.seq > after => return Some(owned),
            Ok(_) => {}
            Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
        }
    }
}

fn joined<T>(result: Result<io::Result<T>, tokio::task::JoinError>) -> io::Result<T> {
    result.map_err(io::Error::other)?
}

/// Whole records of an output log from an offset, about a page, and where they end.
async fn read_log(path: PathBuf, offset: u64) -> Result<(Vec<LogEntry>, u64), Ended> {
    let read = tokio::task::spawn_blocking(move || {
        let bytes = read_at(&path, offset, CHUNK.max(log::HEADER + log::MAX_PIECE))?;
        Ok::<_, io::Error>(entries(&bytes, offset))
    });
    Ok(joined(read.await).map_err(|error| internal(&error))?)
}

fn entries(bytes: &[u8], offset: u64) -> (Vec<LogEntry>, u64) {
    let (mut entries, mut used) = (Vec::new(), 0);
    while let Some((record, length)) = log::parse(&bytes[used..]) {
        if used + length > CHUNK && !entries.is_empty() {
            break;
        }
        let stream = if record.stderr { Stream::Stderr } else { Stream::Stdout };
        entries.push(LogEntry { time_us: TimeUs(record.time_us), stream, data: Bytes(record.data.to_vec()) });
        used += length;
    }
    (entries, offset + u64::try_from(used).unwrap_or(u64::MAX))
}

/// Whole lines of denials from an offset, and where they end.
async fn read_lines(path: PathBuf, offset: u64) -> Result<(Vec<Denial>, u64), Ended> {
    let read = tokio::task::spawn_blocking(move || {
        let bytes = read_at(&path, offset, usize::MAX)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lines = bytes[..whole].split(|byte| *byte == b'\n');
        let denials = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        Ok::<_, io::Error>((denials, offset + u64::try_from(whole).unwrap_or(u64::MAX)))
    });
    Ok(joined(read.await).map_err(|error| internal(&error))?)
}

/// At most so many bytes of a file; none of one that does not exist.
fn read_at(path: &Path, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(most)];
    let mut filled = 0;
    while filled < bytes.len() {
        let position = offset + u64::try_from(filled).unwrap_or(u64::MAX);
        match file.read_at(&mut bytes[filled..], position)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(data: &[u8]) -> Vec<u8> {
        [&log::header(1, false, u32::try_from(data.len()).unwrap())[..], data].concat()
    }

    #[test]
    fn a_log_is_read_whole_and_a_torn_end_is_left_for_later() {
        let bytes = [record(b"one"), record(b"two")].concat();
        let (read, next) = entries(&bytes, 100);
        assert_eq!(read.iter().map(|e| e.data.0.clone()).collect::<Vec<_>>(), [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(next, 100 + bytes.len() as u64);
        let (read, next) = entries(&bytes[..bytes.len() - 1], 100);
        assert_eq!((read.len(), next), (1, 100 + record(b"one").len() as u64));
    }

    #[test]
    fn a_page_holds_at_least_one_piece_and_not_many_large_ones() {
        let large = record(&vec![b'x'; log::MAX_PIECE]);
        let bytes = [large.clone(), large].concat();
        assert_eq!(entries(&bytes, 0).0.len(), 1);
    }
}
