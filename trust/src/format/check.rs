//! A log is followed from its first segment to its last; the first thing that is wrong is a [`Finding`].
//!
//! ```text
//!   header ──► the tree so far must be its frontier (the oldest segment's is believed until a checkpoint confirms it)
//!   record ──► number, hash of the record before, JSON ──► leaf ──► tree ──► at a checkpoint's size: the signed root
//! ```

use super::{Finding, Header, Line, Place, Problem, TimeNs, before_the_first};
use crate::note::{Origin, Signed};
use crate::tree::{Frontier, Hash};
use std::collections::BTreeMap;

/// What holds of a log in which nothing wrong was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The first record that is there.
    pub oldest: u64,
    /// One more than the last record.
    pub size: u64,
    /// The root over all of them.
    pub root: Hash,
    /// The size of the last checkpoint whose root was compared; none of `oldest..` is proved when there is none.
    pub signed: Option<u64>,
    /// How many checkpoints were compared.
    pub checkpoints: u64,
    /// How many checkpoints are older than the oldest record, so that nothing is left to compare with.
    pub older: u64,
    /// Bytes at the ends of files that a crash has left incomplete; only after the last checkpoint.
    pub torn: u64,
    /// Times of the first and of the last record; none without records.
    pub times: Option<(TimeNs, TimeNs)>,
}

impl Report {
    /// Records after the last checkpoint: linked to those before, but not signed yet. A log that was closed has none.
    #[must_use]
    pub fn unsigned(&self) -> u64 {
        self.size - self.signed.unwrap_or(self.oldest)
    }

    /// Whether every record is signed and no file is torn.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.unsigned() == 0 && self.torn == 0
    }
}

/// Follows one log.
#[derive(Debug)]
pub struct Checker {
    origin: Origin,
    roots: BTreeMap<u64, Hash>,
    /// As the latest checkpoint says.
    oldest: u64,
    begin: Option<u64>,
    tree: Frontier,
    /// Unknown before the first record of a log whose older segments were retired.
    prev: Option<[u8; Hash::TEXT]>,
    place: Place,
    signed: Option<u64>,
    compared: u64,
    older: u64,
    times: Option<(TimeNs, TimeNs)>,
    /// A root that is not the signed one. The next record may say more exactly which line was changed.
    pending: Option<Finding>,
}

impl Checker {
    /// Before the first segment. `checkpoints` are those of the log, and any that somebody has kept elsewhere.
    ///
    /// # Errors
    /// A [`Finding`] when two of the same size differ: the log has signed two histories.
    pub fn new<'a>(origin: &Origin, checkpoints: impl IntoIterator<Item = &'a Signed>) -> Result<Self, Finding> {
        let (mut roots, mut oldest) = (BTreeMap::new(), 0);
        let place = Place::checkpoints(0);
        for checkpoint in checkpoints.into_iter().map(Signed::checkpoint) {
            let (size, root) = (checkpoint.size, checkpoint.root);
            let expected = *roots.entry(size).or_insert(root);
            if expected != root {
                return Err(Finding::new(place, Problem::Root { since: 0, size, expected, found: root }));
            }
            oldest = checkpoint.oldest.max(oldest);
        }
        let (tree, begin, signed) = (Frontier::empty(), None, None);
        Ok(Self {
            origin: origin.clone(),
            roots,
            oldest,
            begin,
            tree,
            prev: None,
            place,
            signed,
            compared: 0,
            older: 0,
            times: None,
            pending: None,
        })
    }

    /// Begins with the segment of that record or an older one, whose frontier is believed until a checkpoint.
    #[must_use]
    pub(crate) fn beginning_with(mut self, first: u64) -> Self {
        self.oldest = self.oldest.max(first);
        self
    }

    /// A segment begins: the number in its name and its first line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn header(&mut self, first: u64, line: &[u8]) -> Result<(), Finding> {
        self.pending()?;
        self.place = Place { segment: Some(first), line: 1, seq: None };
        let header = Header::parse(line).map_err(|error| self.finding(Problem::Header(error)))?;
        if header.origin != self.origin {
            let (expected, found) = (self.origin.to_string(), header.origin.to_string());
            return Err(self.finding(Problem::Foreign { expected, found }));
        }
        let found = header.before.size();
        if found != first {
            return Err(self.finding(Problem::Misplaced { expected: first, found }));
        }
        if self.begin.is_some() { self.follows(&header) } else { self.begins(header) }
    }

    /// The oldest segment.
    fn begins(&mut self, header: Header) -> Result<(), Finding> {
        let first = header.before.size();
        if first > self.oldest {
            return Err(self.finding(Problem::Oldest { oldest: self.oldest, found: first }));
        }
        self.prev = (first == 0).then(|| before_the_first().text());
        self.begin = Some(first);
        self.tree = header.before;
        self.older = u64::try_from(self.roots.range(..first).count()).unwrap_or(u64::MAX);
        self.compare();
        Ok(())
    }

    /// A segment after another.
    fn follows(&self, header: &Header) -> Result<(), Finding> {
        let (expected, found) = (self.tree.size(), header.before.size());
        if found > expected {
            return Err(self.finding(Problem::Missing { expected, found }));
        }
        if found < expected {
            return Err(self.finding(Problem::Misplaced { expected, found }));
        }
        if header.before == self.tree {
            return Ok(());
        }
        let expected = Header { origin: self.origin.clone(), before: self.tree.clone() }.line();
        Err(self.finding(Problem::Frontier { expected }))
    }

    /// The next line of the segment, with its newline.
    ///
    /// # Errors
    /// What is wrong with it, or with what a checkpoint after it covers.
    pub fn record(&mut self, bytes: &[u8]) -> Result<(), Finding> {
        let expected = self.tree.size();
        self.place.line += 1;
        self.place.seq = Some(expected);
        let line = Line::parse(bytes).and_then(|line| line.checked_body().map(|_| line));
        let line = line.map_err(|error| self.finding(Problem::Record(error)))?;
        if line.seq != expected {
            return Err(self.finding(Problem::Sequence { expected, found: line.seq }));
        }
        if let Some(prev) = &self.prev
            && line.prev != prev
        {
            let expected =
                std::str::from_utf8(prev).ok().and_then(|text| text.parse().ok()).unwrap_or_else(Hash::empty);
            let found = String::from_utf8_lossy(line.prev).into_owned();
            return Err(self.finding(Problem::Chain { expected, found }));
        }
        self.pending()?;
        self.times = Some((self.times.map_or(line.time, |(first, _)| first), line.time));
        let leaf = Hash::leaf(bytes);
        self.prev = Some(leaf.text());
        self.tree.push(leaf);
        self.compare();
        Ok(())
    }

    /// Compares with the checkpoint of this size, if there is one.
    fn compare(&mut self) {
        let size = self.tree.size();
        let Some(expected) = self.roots.get(&size) else { return };
        let found = self.tree.root();
        if *expected == found {
            self.signed = Some(size);
            self.compared += 1;
        } else {
            let since = self.signed.or(self.begin).unwrap_or(0);
            self.pending = Some(self.finding(Problem::Root { since, size, expected: *expected, found }));
        }
    }

    /// Whether the latest checkpoint that was reached had the root that was found.
    ///
    /// # Errors
    /// If not.
    pub(crate) fn pending(&mut self) -> Result<(), Finding> {
        self.pending.take().map_or(Ok(()), Err)
    }

    /// After the last segment. `torn` is what the ends of files had besides whole lines.
    ///
    /// # Errors
    /// When a checkpoint says that there was more.
    pub fn finish(mut self, torn: u64) -> Result<Report, Finding> {
        self.pending()?;
        let (size, begin) = (self.tree.size(), self.begin.unwrap_or(0));
        if let Some((&expected, _)) = self.roots.last_key_value()
            && expected > size
        {
            self.place.seq = Some(size);
            self.place.line += 1;
            return Err(self.finding(Problem::Truncated { expected, found: size }));
        }
        Ok(Report {
            oldest: begin,
            size,
            root: self.tree.root(),
            signed: self.signed,
            checkpoints: self.compared,
            older: self.older,
            torn,
            times: self.times,
        })
    }

    /// The tree as far as it was followed.
    #[must_use]
    pub fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// The hash of the last record as text; `None` when no record was seen and older ones were retired.
    #[must_use]
    pub(crate) fn prev(&self) -> Option<&[u8; Hash::TEXT]> {
        self.prev.as_ref()
    }

    fn finding(&self, problem: Problem) -> Finding {
        Finding::new(self.place, problem)
    }
}
