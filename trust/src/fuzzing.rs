//! What is tried with hostile bytes; see `agentosd::fuzzing`, which does the same for the daemon.

use crate::format::{Checker, Header, Record, checkpoints, segment_first, segment_name};
use crate::note::{Signed, SigningKey, VerifyingKey};
use crate::proofs::{Consistency, Inclusion};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The files of a log, each after the byte 0: first the checkpoints, then segments.
///
/// Nothing panics. What is read as a record, a header, a checkpoint or a proof is in the bytes that the log would write, so
/// that no two texts mean the same. Whatever a checkpoint does not cover is not called signed.
///
/// # Panics
/// When a promise does not hold.
pub fn segments(bytes: &[u8]) {
    let key = SigningKey::from_seed("seed.example/log".parse().unwrap_or_else(|error| panic!("{error}")), &[7; 32]);
    let key = key.public();
    let mut files = bytes.split(|byte| *byte == 0);
    let notes = checkpoints(files.next().unwrap_or_default(), key).map(|found| found.notes).unwrap_or_default();
    let Ok(mut checker) = Checker::new(key.name(), &notes) else { return };
    for file in files.clone() {
        texts(file, key);
        let mut lines = file.split_inclusive(|byte| *byte == b'\n');
        let header = lines.next().unwrap_or_default();
        let first = Header::parse(header).map(|header| header.before.size()).unwrap_or_default();
        assert_eq!(segment_first(&segment_name(first)), Some(first));
        if checker.header(first, header).and_then(|()| lines.try_for_each(|line| checker.record(line))).is_err() {
            return;
        }
    }
    let last = notes.last().map_or(0, |note| note.checkpoint().size);
    if let Ok(report) = checker.finish(0) {
        assert!(report.signed.unwrap_or(0) <= report.size && last <= report.size, "{report:?} after {last}");
        assert!(report.signed.is_none() || !notes.is_empty(), "signed by nobody: {report:?}");
    }
}

/// Whatever is accepted is written back byte for byte.
fn texts(file: &[u8], key: &VerifyingKey) {
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        if let Ok(record) = Record::parse(line) {
            assert_eq!(record.line().as_bytes(), line);
            // As a parser of JSON sees it, which might see other things.
            let parts: BTreeMap<String, &RawValue> =
                serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {record:?}"));
            assert_eq!(parts.keys().collect::<Vec<_>>(), ["body", "prev", "seq", "time"]);
            assert_eq!((parts["body"].get(), parts["seq"].get()), (record.body(), record.seq.to_string().as_str()));
        }
        if let Ok(header) = Header::parse(line) {
            assert_eq!(header.line().as_bytes(), line);
        }
    }
    let Ok(text) = std::str::from_utf8(file) else { return };
    if let Ok(note) = Signed::parse(text, key) {
        assert_eq!(note.text(), text);
    }
    if let Ok(proof) = Inclusion::parse(text, key) {
        assert_eq!(proof.text(), text);
    }
    if let Ok(proof) = Consistency::parse(text, key) {
        assert_eq!(proof.text(), text);
    }
    // Neither key may make the parser panic.
    drop(text.parse::<VerifyingKey>());
    drop(SigningKey::parse(text));
}

#[cfg(test)]
mod tests {
    use super::segments;
    use std::path::Path;

    #[test]
    fn every_seed_of_the_fuzzer_keeps_the_promises_whole_and_cut_off() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/segments");
        let mut seen = 0;
        for seed in seeds.read_dir().unwrap() {
            let bytes = std::fs::read(seed.unwrap().path()).unwrap();
            segments(&bytes);
            (1..16).for_each(|part| segments(&bytes[..bytes.len() * part / 16]));
            seen += 1;
        }
        assert!(seen > 3, "only {seen} seeds");
    }
}
