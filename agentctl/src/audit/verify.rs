//! `audit verify`: offline, with the files and a public key.

use super::key::{Key, checkpoints};
use super::place;
use crate::cli::audit as cli;
use crate::failure::{Failure, with_causes};
use crate::show;
use crate::whole_file::escaped;
use protocol::exit_code;
use protocol::ids::TimeUs;
use serde::Serialize;
use std::path::Path;
use trust::format::{Report, TimeNs, segment_name};
use trust::log::{PUBLIC_KEY, ReadError};
use trust::note::Signed;

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    /// Nothing is wrong.
    pub(crate) whole: bool,
    /// Escaped.
    pub(crate) directory: String,
    /// It was verified as a part of a log.
    pub(crate) part: bool,
    pub(crate) oldest: u64,
    pub(crate) size: u64,
    pub(crate) root: String,
    /// The size of the last checkpoint that was compared.
    pub(crate) signed: Option<u64>,
    pub(crate) unsigned: u64,
    pub(crate) torn: u64,
    /// How many were compared.
    pub(crate) checkpoints: u64,
    #[serde(rename = "times_us")]
    pub(crate) times: Option<(TimeUs, TimeUs)>,
    pub(crate) key_name: String,
    pub(crate) key_id: String,
    pub(crate) key_from: String,
    pub(crate) key_beside_the_log: bool,
    pub(crate) finding: Option<Finding>,
    /// In words.
    pub(crate) problem: Option<String>,
    /// What else is to be known.
    pub(crate) notes: Vec<String>,
}

/// Where something is wrong.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u64>,
    pub(crate) record: Option<u64>,
}

/// `agentctl audit verify`.
pub(crate) fn verify(socket: &Path, options: cli::Verify) -> Result<u8, Failure> {
    let directory = place::directory(socket, options.dir);
    let key = Key::new(options.key, &directory)?;
    let mut known = Vec::new();
    for path in &options.checkpoints {
        known.extend(checkpoints(path, &key.key)?);
    }
    let found = if options.part {
        // Of a directory without a segment something else is said.
        let first = trust::log::segments(&directory).map_err(|error| Failure::audit(&error))?.first().copied();
        trust::log::verify_part(&directory, &key.key, &known, first.unwrap_or(0))
    } else {
        trust::log::verify(&directory, &key.key, &known)
    };
    let mut verdict = Verdict::new(&directory, options.part, key);
    match found {
        Ok(report) => verdict.take(&report, &known),
        Err(ReadError::Damaged(finding)) => verdict.refuse(&finding),
        Err(error) => return Err(Failure::audit(&error)),
    }
    if options.json {
        show::document(&verdict)?;
    } else {
        show::print(&show::audit::verdict(&verdict))?;
    }
    Ok(if verdict.whole { exit_code::OK } else { exit_code::FAILED })
}

impl Verdict {
    fn new(directory: &Path, part: bool, key: Key) -> Self {
        let mut notes = Vec::new();
        if key.beside_the_log {
            notes.push(format!(
                "the key lies in the log's own directory: whoever changed the log could have replaced both. Keep a copy of \
                 {PUBLIC_KEY} where nobody who can write there can write, and give it with --key"
            ));
        }
        if part {
            notes.push("nothing is said of records before or after this part".to_owned());
        }
        Self {
            whole: false,
            directory: escaped(directory),
            part,
            oldest: 0,
            size: 0,
            root: String::new(),
            signed: None,
            unsigned: 0,
            torn: 0,
            checkpoints: 0,
            times: None,
            key_name: key.key.name().to_string(),
            key_id: key.key.id(),
            key_from: key.from,
            key_beside_the_log: key.beside_the_log,
            finding: None,
            problem: None,
            notes,
        }
    }

    fn take(&mut self, report: &Report, known: &[Signed]) {
        let time = |time: TimeNs| TimeUs(time.0 / 1_000);
        (self.oldest, self.size, self.root) = (report.oldest, report.size, report.root.to_string());
        (self.signed, self.unsigned, self.torn) = (report.signed, report.unsigned(), report.torn);
        (self.checkpoints, self.times) =
            (report.checkpoints, report.times.map(|(first, last)| (time(first), time(last))));
        if report.signed.is_none() && report.size > report.oldest {
            self.problem = Some(format!(
                "no checkpoint covers any of the {} records: nobody has signed them, so they prove nothing",
                report.size - report.oldest
            ));
            return;
        }
        self.whole = true;
        if report.unsigned() > 0 {
            self.notes.push(format!(
                "the last {} records are linked to those before and not signed: a running log signs within a second, one that \
                 was closed has none",
                report.unsigned()
            ));
        }
        if report.torn > 0 {
            self.notes.push(format!("{} bytes at the end are an unfinished write, as a crash leaves it", report.torn));
        }
        if known.is_empty() && !self.part {
            self.notes.push(
                "no checkpoint from elsewhere was given: a log that was cut off together with its checkpoints looks like \
                 this one (--checkpoint)"
                    .to_owned(),
            );
        }
    }

    fn refuse(&mut self, finding: &trust::format::Finding) {
        let place = finding.place;
        let file = place.segment.map(segment_name).or((place.line > 0).then(|| trust::log::CHECKPOINTS.to_owned()));
        self.finding = Some(Finding { file, line: Some(place.line).filter(|line| *line > 0), record: place.seq });
        let mut problem = with_causes(&*finding.problem);
        if let trust::format::Problem::Oldest { .. } = *finding.problem {
            problem.push_str("; a part of a log that was made as such (export --bundle) is verified with --part");
        }
        self.problem = Some(problem);
    }
}
