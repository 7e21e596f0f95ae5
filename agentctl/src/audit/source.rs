//! Records in order, from agentosd or from the files.

use super::entry::Entry;
use crate::client::Client;
use crate::failure::Failure;
use protocol::control::{AuditLog, AuditStatus};
use protocol::ids::AgentName;
use std::path::{Path, PathBuf};
use std::time::Duration;
use trust::format::TimeNs;
use trust::log::Reader;

/// How often files are looked at for what is new.
const LOOK: Duration = Duration::from_millis(200);
/// Records that are taken from files at once.
const BATCH: usize = 256;

/// Whose word is taken.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Daemon(&'a Path),
    Files(PathBuf),
}

/// Where reading begins, and whether it ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    pub(super) from: Option<u64>,
    pub(super) last: Option<u64>,
    pub(super) since: Option<TimeNs>,
    pub(super) follow: bool,
    /// What agentosd is to send; files are read whole.
    pub(super) agent: Option<AgentName>,
}

impl<'a> Source<'a> {
    pub(super) fn new(socket: &'a Path, directory: Option<PathBuf>) -> Self {
        directory.map_or(Self::Daemon(socket), Self::Files)
    }

    /// Gives records to `take` until there are no more, or it says false.
    pub(super) fn each(
        &self,
        span: &Span,
        take: impl FnMut(Vec<Entry>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Daemon(socket) => asked(socket, span, take),
            Self::Files(directory) => read(directory, span, take),
        }
    }
}

fn asked(socket: &Path, span: &Span, mut take: impl FnMut(Vec<Entry>) -> Result<bool, Failure>) -> Result<(), Failure> {
    let mut since = span.since;
    let from = match since {
        Some(time) => Some(first_since(socket, time, span.agent.as_ref())?),
        None => span.from,
    };
    let request = AuditLog { from, last: span.last, follow: span.follow, name: span.agent.clone() };
    Client::connect(socket)?.stream_while(&request, |page| {
        let mut entries = page.records.iter().map(|line| Entry::parse(line)).collect::<Result<Vec<_>, _>>()?;
        if let Some(time) = since {
            entries.drain(..entries.iter().position(|entry| entry.sealed.time >= time).unwrap_or(entries.len()));
            since = entries.is_empty().then_some(time);
        }
        take(entries)
    })
}

/// A record shortly before the first one of `time` or later: by bisection, since agentosd looks records up by number only.
fn first_since(socket: &Path, time: TimeNs, agent: Option<&AgentName>) -> Result<u64, Failure> {
    let status = Client::connect(socket)?.call(&AuditStatus::default())?;
    let (mut low, mut high) = (status.oldest, status.size);
    while low < high {
        let middle = low.midpoint(high);
        let request = AuditLog { from: Some(middle), name: agent.cloned(), ..AuditLog::default() };
        let mut found = None;
        Client::connect(socket)?.stream_while(&request, |page| {
            found = page.records.first().map(|line| Entry::parse(line)).transpose()?;
            Ok(found.is_none())
        })?;
        match found {
            Some(entry) if entry.sealed.time < time => low = entry.sealed.seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

fn read(
    directory: &Path,
    span: &Span,
    mut take: impl FnMut(Vec<Entry>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let failed = |error: trust::log::ReadError| Failure::audit(&error);
    let mut reader = match (span.since, span.last, span.from) {
        (Some(time), _, _) => Reader::open_at(directory, time),
        (None, Some(last), _) => Reader::open_last(directory, last),
        (None, None, Some(from)) => Reader::open(directory, from),
        (None, None, None) => Reader::open_last(directory, u64::MAX),
    }
    .map_err(failed)?;
    loop {
        let mut entries = Vec::new();
        while entries.len() < BATCH
            && let Some(record) = reader.next().map_err(failed)?
        {
            entries.push(Entry::of(record));
        }
        let all = entries.len() < BATCH;
        if !take(entries)? || (all && !span.follow) {
            return Ok(());
        }
        if all {
            std::thread::sleep(LOOK);
        }
    }
}
