//! Records in order, from any on, and on as they come.

use super::directory::Directory;
use super::error::ReadError;
use super::lines::Lines;
use crate::format::{Finding, Header, Line, Place, Problem, Record, TimeNs};
use std::path::Path;

/// Reads a log that may be written meanwhile. It checks numbers and form, not hashes: that is for [`verify`](super::verify()).
#[derive(Debug)]
pub struct Reader {
    directory: Directory,
    lines: Lines,
    place: Place,
    /// The number of the next line.
    at: u64,
    from: u64,
    /// Records before the first one of this time or later are passed over.
    since: TimeNs,
    end: u64,
}

impl Reader {
    /// Begins with record `from`, which may be one that is still to come.
    ///
    /// # Errors
    /// [`ReadError::Retired`] when it was removed.
    pub fn open(directory: &Path, from: u64) -> Result<Self, ReadError> {
        let directory = Directory::at(directory);
        let segments = directory.segments()?;
        let oldest = *segments.first().ok_or_else(|| ReadError::None { path: directory.path().to_owned() })?;
        let before = segments.partition_point(|first| *first <= from);
        let at =
            *before.checked_sub(1).and_then(|at| segments.get(at)).ok_or(ReadError::Retired { seq: from, oldest })?;
        let (lines, place) = begin(&directory, at)?;
        Ok(Self { directory, lines, place, at, from, since: TimeNs(0), end: u64::MAX })
    }

    /// Begins with the first record that is of `time` or later, which may be one that is still to come. The segment is found
    /// by bisection, so that what is before it is not read.
    ///
    /// The order is that of the numbers: where the clock was set back, later records may have earlier times again.
    ///
    /// # Errors
    /// [`ReadError::None`] when there is no log; [`ReadError::Damaged`] when a segment has no header.
    pub fn open_at(directory: &Path, time: TimeNs) -> Result<Self, ReadError> {
        let at = Directory::at(directory);
        let segments = at.segments()?;
        let (mut low, mut high) = (0, segments.len());
        while low < high {
            let middle = low.midpoint(high);
            // One without a record has only such as are still to come.
            match begun(&at, segments[middle])? {
                Some(begun) if begun < time => low = middle + 1,
                _ => high = middle,
            }
        }
        let first = segments.get(low.saturating_sub(1));
        let first = *first.ok_or_else(|| ReadError::None { path: directory.to_owned() })?;
        let mut reader = Self::open(directory, first)?;
        reader.since = time;
        Ok(reader)
    }

    /// Begins with the last but `count` of the records that there are now, or with the oldest.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_last(directory: &Path, count: u64) -> Result<Self, ReadError> {
        let segments = Directory::at(directory).segments()?;
        let none = || ReadError::None { path: directory.to_owned() };
        let (oldest, last) = (*segments.first().ok_or_else(none)?, *segments.last().ok_or_else(none)?);
        let mut reader = Self::open(directory, last)?;
        while reader.next()?.is_some() {}
        Self::open(directory, reader.at.saturating_sub(count).max(oldest))
    }

    /// The number of the next record.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at.max(self.from)
    }

    /// Reads only records before `end` until it is moved. In the process that writes, [`Status::size`](super::Status) is the
    /// end of what is sealed; a record after it may vanish again when the disk is full.
    pub fn up_to(&mut self, end: u64) {
        self.end = end;
    }

    /// The next record; `None` when there is none yet: ask again later.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] at a line that is not the next record; [`ReadError::Retired`] when the reader was overtaken by
    /// retention.
    #[expect(clippy::should_implement_trait, reason = "an iterator that has ended does not go on")]
    pub fn next(&mut self) -> Result<Option<Record>, ReadError> {
        while self.at < self.end {
            let Some(line) = self.lines.next()? else {
                if self.go_on()? {
                    continue;
                }
                return Ok(None);
            };
            self.place.line += 1;
            self.place.seq = Some(self.at);
            let damaged = |problem| ReadError::Damaged(Finding::new(self.place, problem));
            let seq = Line::parse(line).map_err(|error| damaged(Problem::Record(error)))?.seq;
            if seq != self.at {
                return Err(damaged(Problem::Sequence { expected: self.at, found: seq }));
            }
            self.at += 1;
            if seq >= self.from {
                let record = Record::parse(line).map_err(|error| damaged(Problem::Record(error)))?;
                if record.time < self.since {
                    continue;
                }
                self.since = TimeNs(0);
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Goes to the next segment, if there is one: then all of this one was read.
    fn go_on(&mut self) -> Result<bool, ReadError> {
        if self.place.segment == Some(self.at) {
            return Ok(false);
        }
        let segments = self.directory.segments()?;
        if segments.binary_search(&self.at).is_ok() {
            (self.lines, self.place) = begin(&self.directory, self.at)?;
            return Ok(true);
        }
        match segments.first() {
            Some(oldest) if *oldest > self.at => Err(ReadError::Retired { seq: self.at, oldest: *oldest }),
            _ => Ok(false),
        }
    }
}

fn begin(directory: &Directory, first: u64) -> Result<(Lines, Place), ReadError> {
    let mut lines = Lines::open(&directory.segment(first))?;
    let place = Place { segment: Some(first), line: 1, seq: None };
    let header = Header::parse(lines.next()?.unwrap_or_default());
    header.map_err(|error| ReadError::Damaged(Finding::new(place, Problem::Header(error))))?;
    Ok((lines, place))
}

/// The time of a segment's first record, if it has one.
fn begun(directory: &Directory, first: u64) -> Result<Option<TimeNs>, ReadError> {
    let (mut lines, mut place) = begin(directory, first)?;
    let Some(line) = lines.next()? else { return Ok(None) };
    (place.line, place.seq) = (2, Some(first));
    let line = Line::parse(line).map_err(|error| ReadError::Damaged(Finding::new(place, Problem::Record(error))))?;
    Ok(Some(line.time))
}
