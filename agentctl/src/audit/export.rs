//! `audit export`: records into a file.

use super::bundle;
use super::entry::Entry;
use super::filter::Filter;
use super::place;
use super::source::{Source, Span};
use crate::cli::audit::{self as cli, Format};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::show;
use crate::whole_file::{WholeFile, escaped};
use protocol::audit::Record;
use protocol::text::escape;
use serde::Serialize;
use serde_json::Value;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;

/// The columns of CSV.
const COLUMNS: &str = "seq,time,kind,agent,run,uid,owner,by_uid,by_pid,pid,exe,attempted,action,request,decision,reason,rule,\
    policy_digest,stopped_by,outcome,approval,request_id,action_digest,of,without_effect,happened,exit,leaf";

/// `agentctl audit export`.
pub(crate) fn export(socket: &Path, options: cli::Export) -> Result<u8, Failure> {
    if let (Some(from), Some(to)) = (options.from, options.to)
        && to < from
    {
        return Err(Failure::Usage(format!("--to {to} is before --from {from}")));
    }
    if let Some(target) = &options.bundle {
        let directory = place::directory(socket, options.dir);
        return bundle::write(&directory, target, (options.from, options.to)).map(|()| 0);
    }
    match options.out.clone() {
        None => {
            let terminal = io::stdout().is_terminal();
            let mut out = BufWriter::new(io::stdout().lock());
            records(socket, options, &mut |text| {
                let shown = if terminal { format!("{}\n", show::guarded(text.trim_end_matches('\n'))) } else { text };
                out.write_all(shown.as_bytes()).map_err(Failure::Output)
            })?;
            out.flush().map_err(Failure::Output)?;
        }
        Some(path) => {
            let failed = |source| Failure::File { attempt: "write", path: escaped(&path), source };
            let file = WholeFile::new(&path)?;
            let mut out = BufWriter::with_capacity(64 << 10, file.file());
            records(socket, options, &mut |text| out.write_all(text.as_bytes()).map_err(failed))?;
            out.flush().map_err(failed)?;
            drop(out);
            file.keep()?;
        }
    }
    Ok(0)
}

fn records(
    socket: &Path,
    options: cli::Export,
    write: &mut dyn FnMut(String) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let filter = Filter::of_agent(options.agent.clone());
    let span = Span { from: options.from, agent: options.agent, ..Span::default() };
    let mut progress = Progress::new("exported");
    if options.format == Format::Csv {
        write(format!("{COLUMNS}\n"))?;
    }
    Source::new(socket, options.dir).each(&span, |entries| {
        for entry in entries {
            if options.to.is_some_and(|to| entry.sealed.seq > to) {
                return Ok(false);
            }
            if filter.takes(&entry) {
                progress.entry_of(entry.sealed.line().len());
                write(match options.format {
                    Format::Jsonl => entry.sealed.line().to_owned(),
                    Format::Csv => row(&entry),
                })?;
            }
        }
        Ok(true)
    })
}

/// A row of CSV (RFC 4180). Text is escaped as on a terminal.
fn row(entry: &Entry) -> String {
    let mut cells = vec![entry.sealed.seq.to_string(), show::time::utc(entry.time())];
    match &entry.said {
        Some(said) => cells.extend(fields(said)),
        None => cells.extend(COLUMNS.split(',').skip(3).map(|_| String::new())),
    }
    cells.push(entry.sealed.leaf().to_string());
    let line = cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",");
    line + "\n"
}

fn fields(said: &Record) -> [String; 25] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let agent = said.agent.as_ref();
    [
        plain(Some(said.kind)),
        agent.map(|agent| agent.name.to_string()).unwrap_or_default(),
        plain(agent.and_then(|agent| agent.id)),
        plain(agent.and_then(|agent| agent.uid)),
        plain(agent.map(|agent| agent.owner)),
        plain(said.by.map(|by| by.uid)),
        plain(said.by.map(|by| by.pid)),
        plain(said.pid),
        text(&said.exe),
        said.attempted.clone(),
        text(&said.action),
        said.request.join(" "),
        plain(said.decision),
        text(&said.reason),
        text(&said.rule),
        text(&said.policy_digest),
        plain(said.stopped_by),
        text(&said.outcome),
        text(&said.approval),
        text(&said.request_id),
        text(&said.action_digest),
        plain(said.of),
        said.without_effect.join(" "),
        said.happened_us.map(show::time::utc).unwrap_or_default(),
        said.exit.as_ref().map(show::how_it_ended).unwrap_or_default(),
    ]
}

/// A number or word as in JSON.
fn plain<T: Serialize>(value: Option<T>) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(Value::Null) | Err(_) => String::new(),
        Ok(other) => other.to_string(),
    }
}

/// A cell. A spreadsheet would calculate what begins as a formula does, and an agent chooses what it attempts.
fn cell(text: &str) -> String {
    let text = escape(text);
    let formula = text.starts_with(['=', '+', '-', '@']);
    let text = if formula { format!("'{text}") } else { text };
    if text.contains(['"', ',', ' ', ';']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: &str) -> Entry {
        let prev = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        Entry::parse(&format!(r#"{{"seq":7,"time":1000,"prev":"{prev}","body":{body}}}"#)).expect("a record")
    }

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        for body in [r#"{"kind":"exit","attempted":"exit"}"#, r#"{"event":1}"#] {
            assert_eq!(row(&entry(body)).split(',').count(), COLUMNS.split(',').count(), "{body}");
        }
        let all = r#"{"kind":"decision","attempted":"a","decision":"deny","of":5,"without_effect":["x","y"]}"#;
        let row = row(&entry(all));
        let cells: Vec<_> = COLUMNS.split(',').zip(row.trim_end().split(',')).collect();
        for expected in
            [("seq", "7"), ("kind", "decision"), ("decision", "deny"), ("of", "5"), ("without_effect", "\"x y\"")]
        {
            assert!(cells.contains(&expected), "{expected:?}: {cells:?}");
        }
    }

    #[test]
    fn a_spreadsheet_calculates_nothing_that_an_agent_wrote() {
        assert_eq!(cell(r#"=HYPERLINK("x")"#), r#""'=HYPERLINK(""x"")""#);
        assert_eq!(cell("@SUM"), "'@SUM");
        assert_eq!(cell("a\nb,c"), "\"a\\u{a}b,c\"");
        assert_eq!(cell("plain"), "plain");
    }
}
