//! What is written while agents run: output, events, denials; followed if asked.

use super::{Control, listing::Page};
use crate::agent::{Handle, Request};
use crate::caller::Caller;
use crate::daemon::internal;
use crate::events::{Head, Owned};
use crate::transport::{Ended, Outgoing, aside};
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
use std::path::Path;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How often a followed file is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Output in one reply; base64 makes it a page.
const CHUNK: usize = PAGE * 5 / 8;
/// Bytes of denials that are read at once; a line is a small part of that.
const LINES: usize = PAGE * 4;

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
            let ended = handle.look(|agent| agent.state == State::Exited);
            let (entries, next) = aside(|| read_log(&path, offset)).map_err(|error| internal(&error))?;
            let whole = entries.is_empty();
            offset = next;
            match (whole, out.more()) {
                (_, false) => return out.last(&LogsReply { entries }).await,
                (false, true) => out.page(&LogsReply { entries }).await?,
                (true, true) if ended || !logs.follow => return out.last(&LogsReply { entries }).await,
                (true, true) => out.unless_closed(tokio::time::sleep(LOOK)).await?,
            }
        }
    }

    pub(super) async fn events(&self, events: Events, caller: &Caller, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        if events.follow {
            out.require_more()?;
        }
        let wanted = |owner: u32, agent: &str| {
            (caller.is_root() || caller.uid == owner) && events.name.as_ref().is_none_or(|name| name.as_str() == agent)
        };
        let mut live = self.0.events.follow();
        let mut seen = 0;
        loop {
            let wanted_head = |head: &Head<'_>| wanted(head.owner, &head.agent);
            let Some(rest) = self.kept_events(&mut seen, wanted_head, out).await? else { return Ok(()) };
            if !events.follow {
                return out.last(&EventsReply { events: rest }).await;
            }
            if !rest.is_empty() {
                out.next(&EventsReply { events: rest }).await?;
            }
            // A follower that is too far behind reads the file again.
            while let Some(Owned { event, owner }) = out.unless_closed(receive(&mut live, seen)).await? {
                seen = event.seq;
                if wanted(owner, event.agent.as_str()) {
                    out.next(&EventsReply { events: vec![event] }).await?;
                }
            }
        }
    }

    /// Sends full pages of the events in the file after a number, and gives the rest; `None` when the caller has had the
    /// one reply that it takes.
    async fn kept_events(
        &self,
        seen: &mut u64,
        wanted: impl Fn(&Head<'_>) -> bool + Sync,
        out: &mut Outgoing<'_>,
    ) -> Result<Option<Vec<Event>>, Ended> {
        self.0.events.flushed().await;
        let fail = |error: io::Error| internal(&error);
        let mut kept = aside(|| self.0.events.kept(*seen)).map_err(fail)?;
        let mut page = Page::default();
        while let Some(list) = aside(|| kept.step(&wanted)).map_err(fail)? {
            for event in list {
                let Some(events) = page.add(event) else { continue };
                if !out.more() {
                    return out.last(&EventsReply { events }).await.map(|()| None);
                }
                out.page(&EventsReply { events }).await?;
            }
            tokio::task::yield_now().await;
        }
        *seen = kept.seen();
        Ok(Some(page.take()))
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
            let mut page = Page::default();
            while let Some(list) = aside(|| read_lines(&path, &mut offset)).map_err(|error| internal(&error))? {
                for denial in list {
                    let Some(denials) = page.add(denial) else { continue };
                    if !out.more() {
                        let completeness = Some(inspect(&handle).await?);
                        return out.last(&DenialsReply { denials, completeness }).await;
                    }
                    out.page(&DenialsReply { denials, completeness: None }).await?;
                }
                tokio::task::yield_now().await;
            }
            let rest = page.take();
            if settled || !denials.follow {
                if completeness.is_none() {
                    completeness = Some(inspect(&handle).await?);
                }
                return out.last(&DenialsReply { denials: rest, completeness }).await;
            }
            if !rest.is_empty() {
                out.next(&DenialsReply { denials: rest, completeness: None }).await?;
            }
            if handle.look(|agent| agent.state == State::Exited) {
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

/// Whole records of an output log from an offset, about a page, and where they end.
fn read_log(path: &Path, offset: u64) -> io::Result<(Vec<LogEntry>, u64)> {
    let bytes = read_at(path, offset, CHUNK.max(log::HEADER + log::MAX_PIECE))?;
    Ok(entries(&bytes, offset))
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

/// Denials in some whole lines from an offset, which is moved to their end; `None` when there is no whole line.
fn read_lines(path: &Path, offset: &mut u64) -> io::Result<Option<Vec<Denial>>> {
    let bytes = read_at(path, *offset, LINES)?;
    let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Ok(None) };
    let lines = bytes[..last].split(|byte| *byte == b'\n');
    *offset += u64::try_from(last + 1).unwrap_or(u64::MAX);
    Ok(Some(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()))
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

    #[test]
    fn denials_are_read_in_pieces_and_a_torn_end_is_left_for_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("denials.jsonl");
        let mut offset = 0;
        assert!(read_lines(&path, &mut offset).unwrap().is_none(), "no file");
        let whole = "{}\n".repeat(LINES);
        std::fs::write(&path, format!("{whole}torn")).unwrap();
        let mut pieces = 0;
        while read_lines(&path, &mut offset).unwrap().is_some() {
            pieces += 1;
        }
        assert_eq!((offset, pieces), (whole.len() as u64, 4), "each piece ends where a line does");
    }
}
