//! What was told to be sealed against what the log has.

use crate::{Kept, public_key};
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use trust::format::Report;
use trust::log::{Log, Reader};
use trust::tree::Hash;

/// The log's verdict on itself.
pub(crate) fn verify(directory: &Path) -> Result<Report> {
    Ok(trust::log::verify(directory, &public_key(directory)?, &[])?)
}

/// Opens the log as after a crash, closes it, verifies it, and looks for each record of the list.
pub(crate) fn run(directory: &Path) -> Result<()> {
    let acknowledged = acknowledged()?;
    let kept = Kept { segment: 64 << 20, segments: None, checkpoint: 1000 };
    let (log, recovery) = Log::open(directory, kept.options()?)?;
    log.close()?;
    let report = verify(directory)?;
    ensure!(report.is_whole(), "something is not signed after a clean end: {report:?}");
    if let Some((last, _)) = acknowledged.last_key_value() {
        ensure!(*last < report.size, "record {last} was sealed, and the log has {}", report.size);
    }
    let mut reader = Reader::open(directory, report.oldest)?;
    let (mut seen, mut looked_for) = (0, acknowledged.range(report.oldest..).peekable());
    while let Some(record) = reader.next()? {
        if let Some((_, leaf)) = looked_for.next_if(|(seq, _)| **seq == record.seq) {
            ensure!(*leaf == record.leaf(), "record {} is not the one that was sealed", record.seq);
            seen += 1;
        }
    }
    ensure!(looked_for.peek().is_none(), "record {:?} was sealed and is missing", looked_for.peek());
    println!("{seen} of {} sealed records are there, the others were retired; {recovery:?}", acknowledged.len());
    Ok(())
}

/// The list, without a last line that was cut off.
fn acknowledged() -> Result<BTreeMap<u64, Hash>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("failed to read the list")?;
    let mut found = BTreeMap::new();
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if line.starts_with("refused ") {
            continue;
        }
        let Some((seq, leaf)) = line.split_once(' ') else { bail!("{line:?} is no acknowledgement") };
        let twice = found.insert(seq.parse()?, leaf.parse()?);
        ensure!(twice.is_none(), "record {seq} was sealed twice");
    }
    Ok(found)
}
