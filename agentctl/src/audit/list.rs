//! `audit log`, `audit follow` and `audit show`.

use super::entry::Entry;
use super::filter::Filter;
use super::source::{Source, Span};
use crate::cli::audit as cli;
use crate::failure::Failure;
use crate::show::{self, Look};
use std::collections::VecDeque;
use std::path::Path;
use trust::format::TimeNs;

/// `agentctl audit log`.
pub(crate) fn log(socket: &Path, options: cli::Log) -> Result<u8, Failure> {
    let filter = Filter::new(&options.which);
    let files = options.which.dir.is_some();
    // What is left out here may be among the newest, so the newest are then counted here, too.
    let counted_there = if files { filter.is_empty() } else { filter.is_of_agent_only() };
    let counted_there = options.follow || (counted_there && options.since.is_none());
    let span = Span {
        from: options.from,
        last: options.last.filter(|_| counted_there),
        since: options.since.map(|moment| TimeNs(moment.nanoseconds())),
        follow: options.follow,
        agent: options.which.agent,
    };
    let most = options.last.filter(|_| !counted_there).map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    let look = Look::of_output();
    if !options.json {
        show::print(&show::audit::header(look))?;
    }
    let print = |entries: &mut dyn Iterator<Item = &Entry>| {
        let text: String = entries.map(|entry| one(entry, options.json, look)).collect();
        show::print(&text)
    };
    let mut newest = VecDeque::new();
    Source::new(socket, options.which.dir).each(&span, |entries| {
        let wanted = entries.into_iter().filter(|entry| filter.takes(entry));
        let Some(most) = most else {
            print(&mut wanted.collect::<Vec<_>>().iter())?;
            return Ok(true);
        };
        for entry in wanted {
            newest.push_back(entry);
            if newest.len() > most {
                newest.pop_front();
            }
        }
        Ok(true)
    })?;
    print(&mut newest.iter())?;
    Ok(0)
}

fn one(entry: &Entry, json: bool, look: Look) -> String {
    if json { format!("{}\n", show::guarded(entry.line())) } else { show::audit::row(entry, look) }
}

/// `agentctl audit show`.
pub(crate) fn show(socket: &Path, options: cli::Show) -> Result<u8, Failure> {
    let span = Span { from: Some(options.seq), ..Span::default() };
    let mut found = None;
    Source::new(socket, options.dir).each(&span, |entries| {
        let empty = entries.is_empty();
        found = found.take().or_else(|| entries.into_iter().find(|entry| entry.sealed.seq == options.seq));
        Ok(found.is_none() && empty)
    })?;
    let entry = found.ok_or_else(|| {
        let seq = options.seq;
        Failure::Audit(format!(
            "show record {seq}: there is none, or it is another user's (agentctl audit log lists records)"
        ))
    })?;
    if options.json {
        show::document(&show::audit::value(&entry))?;
    } else {
        show::print(&show::audit::page(&entry, Look::of_output()))?;
    }
    Ok(0)
}
