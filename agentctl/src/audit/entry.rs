//! A record of the log, with what its body says.

use crate::failure::Failure;
use protocol::ids::TimeUs;
use trust::format::Record;

/// A record.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its line in the log.
    pub(crate) sealed: Record,
    /// What it says; none when it was not written as agentosd writes, which the log's format allows.
    pub(crate) said: Option<protocol::audit::Record>,
}

impl Entry {
    /// Reads a record as agentosd sends it: its line, with or without the newline.
    pub(crate) fn parse(line: &str) -> Result<Self, Failure> {
        let whole = format!("{}\n", line.strip_suffix('\n').unwrap_or(line));
        let sealed = Record::parse(whole.as_bytes());
        sealed.map(Self::of).map_err(|error| {
            let why = crate::failure::with_causes(&error);
            Failure::Audit(format!("understand a record that agentosd sent: {why}"))
        })
    }

    /// The record of a line.
    pub(crate) fn of(sealed: Record) -> Self {
        let said = serde_json::from_str(sealed.body()).ok();
        Self { sealed, said }
    }

    /// Its time, as the interface counts.
    pub(crate) fn time(&self) -> TimeUs {
        TimeUs(self.sealed.time.0 / 1_000)
    }

    /// The line without its newline.
    pub(crate) fn line(&self) -> &str {
        self.sealed.line().trim_end_matches('\n')
    }
}
