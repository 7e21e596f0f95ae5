//! `audit export --bundle`: the files of some records as a directory that can be verified by itself.
//!
//! Whole segments up to a checkpoint are copied, since a segment is what the next one's header and a checkpoint's root speak
//! of. What is copied is verified before anybody is told that it is there.

use crate::failure::Failure;
use crate::progress::Progress;
use crate::show;
use crate::whole_file::escaped;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use trust::format::{MAX_LINE, segment_name};
use trust::log::{CHECKPOINTS, PUBLIC_KEY};
use trust::note::Signed;

const README: &str = "README";

/// Copies what has the records `from` to `to`.
pub(super) fn write(directory: &Path, target: &Path, (from, to): (Option<u64>, Option<u64>)) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::audit(error);
    let key = super::key::Key::new(None, directory)?.key;
    // Before the segments: what is written meanwhile comes after them.
    let notes = trust::log::signed(directory, &key).map_err(|error| failed(&error))?;
    let segments = trust::log::segments(directory).map_err(|error| failed(&error))?;
    let (begin, end) = part(&segments, &notes, (from, to))?;
    let made = DirBuilder::new().mode(0o700).create(target);
    made.map_err(|source| Failure::File { attempt: "make the directory", path: escaped(target), source })?;
    let mut progress = Progress::new("copied");
    for first in segments.iter().filter(|first| (begin..end).contains(*first)) {
        let name = segment_name(*first);
        copy(&directory.join(&name), &target.join(&name), (end - first, &mut progress))?;
    }
    let kept = notes.iter().filter(|note| (begin..=end).contains(&note.checkpoint().size));
    let notes: String = kept.map(|note| format!("{}\n", note.text())).collect();
    file(&target.join(CHECKPOINTS), notes.as_bytes())?;
    file(&target.join(PUBLIC_KEY), format!("{key}\n").as_bytes())?;
    let readme = format!(
        "Records {begin} to {} of the audit log {}. Whether they are as they were written: agentctl audit verify --part --dir \
         . --key KEY, with the public key from elsewhere if you can ({PUBLIC_KEY} here came with the records). Without \
         agentctl: docs/audit-format.md of Agent OS describes every byte.\n",
        end - 1,
        key.name()
    );
    file(&target.join(README), readme.as_bytes())?;
    let report = trust::log::verify_part(target, &key, &[], begin).map_err(|error| failed(&error))?;
    drop(progress);
    show::line(&format!("records {begin} to {}, up to a checkpoint: {}", report.size - 1, escaped(target)))
}

/// The first record of the segment with `from`, and the size of the checkpoint after `to`.
fn part(segments: &[u64], notes: &[Signed], (from, to): (Option<u64>, Option<u64>)) -> Result<(u64, u64), Failure> {
    let oldest = segments.first().copied().unwrap_or(0);
    let from = from.unwrap_or(oldest);
    let begin = segments.iter().rev().find(|first| **first <= from).copied();
    let begin =
        begin.ok_or_else(|| Failure::Audit(format!("export record {from}: the oldest that is kept is {oldest}")))?;
    let sizes = notes.iter().map(|note| note.checkpoint().size);
    let end = match to {
        Some(to) => sizes.filter(|size| *size > to.max(begin)).min(),
        None => sizes.max().filter(|size| *size > from),
    };
    let end = end.ok_or_else(|| {
        let record = to.unwrap_or(from);
        Failure::Audit(format!("export record {record}: no checkpoint covers it yet; agentosd signs within a second"))
    })?;
    Ok((begin, end))
}

/// The header and at most `records` lines.
fn copy(from: &Path, to: &Path, (records, progress): (u64, &mut Progress)) -> Result<(), Failure> {
    let reading = |source| Failure::File { attempt: "read", path: escaped(from), source };
    let writing = |source| Failure::File { attempt: "write", path: escaped(to), source };
    let mut lines = BufReader::with_capacity(256 << 10, File::open(from).map_err(reading)?);
    let mut out = BufWriter::with_capacity(256 << 10, create(to).map_err(writing)?);
    let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX) + 1;
    let mut line = Vec::new();
    for _ in 0..=records {
        line.clear();
        lines.by_ref().take(most).read_until(b'\n', &mut line).map_err(reading)?;
        if line.is_empty() {
            break;
        }
        out.write_all(&line).map_err(writing)?;
        progress.entry_of(line.len());
    }
    out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all()).map_err(writing)
}

fn file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let failed = |source| Failure::File { attempt: "write", path: escaped(path), source };
    create(path).and_then(|mut file| file.write_all(content)).map_err(failed)
}

/// What agents did is its owner's alone.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
