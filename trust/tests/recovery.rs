//! Promise: whatever a crash leaves becomes a whole log again, and nothing that was sealed is lost.

#[allow(dead_code, reason = "each test file uses its own part")]
mod history;

use history::{History, append, body, options, said, segments};
use proptest::prelude::*;
use std::fs::{self, OpenOptions};
use std::path::Path;
use trust::log::{Log, Recovery, Retention, Rotation, verify};

const BYTES: u64 = 600;

fn open(path: &Path) -> (Log, Recovery) {
    Log::open(path, options(BYTES, Retention::default())).unwrap_or_else(|error| panic!("{}", said(&error)))
}

/// Appends bytes as a write that was interrupted.
fn tear(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    let mut file = OpenOptions::new().append(true).open(path).expect("our own file");
    file.write_all(bytes).expect("our own file");
}

/// A directory like `from`, as it was at this moment: what kill -9 would leave.
fn copy(from: &Path) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), place.path().join(entry.file_name())).expect("our own files");
    }
    place
}

#[test]
fn what_was_sealed_without_a_checkpoint_is_there_and_signed_after_a_crash() {
    let place = tempfile::tempdir().expect("a directory");
    let (log, recovery) = open(place.path());
    assert_eq!(recovery, Recovery { created: true, ..Recovery::default() });
    append(&log, 0..3);
    let crashed = copy(place.path());
    let (again, recovery) = open(crashed.path());
    assert_eq!(recovery, Recovery { size: 3, unsigned: 3, ..Recovery::default() });
    assert_eq!(append(&again, 3..4)[0].seq(), 3);
    let key = again.key().clone();
    again.close().expect("there is room");
    let report = verify(crashed.path(), &key, &[]).expect("it is right");
    assert!(report.size == 4 && report.is_whole(), "{report:?}");
}

#[test]
fn a_torn_record_is_cut_off_and_told_and_no_sealed_one_is() {
    let torn: [&[u8]; 4] = [b"{\"seq\":3,", b"\0\0\0\0\0\0\0\0", b"\n", b"{\"seq\":3}\n{\"seq\":4}\n"];
    for bytes in torn {
        let history = History::new(3, 100_000);
        let path = history.segments()[0].clone();
        let whole = fs::read(&path).expect("our own file");
        tear(&path, bytes);
        let (log, recovery) = open(history.path());
        let cut = u64::try_from(bytes.len()).expect("a few");
        assert_eq!(recovery, Recovery { size: 3, cut, ..Recovery::default() });
        log.close().expect("there is room");
        assert_eq!(fs::read(&path).expect("our own file"), whole);
    }
}

#[test]
fn a_torn_record_that_a_checkpoint_covers_is_no_crash() {
    let history = History::new(3, 100_000);
    let path = history.segments()[0].clone();
    let bytes = fs::read(&path).expect("our own file");
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("our own file");
    let error = Log::open(history.path(), options(BYTES, Retention::default())).expect_err("a signed record is torn");
    assert!(said(&error).contains("a checkpoint says that there were 3"), "{}", said(&error));
}

#[test]
fn more_than_a_crash_can_tear_is_refused() {
    let history = History::new(3, 100_000);
    tear(&history.segments()[0], &vec![0; 2 << 20]);
    let error = Log::open(history.path(), options(BYTES, Retention::default())).expect_err("it is too much");
    assert!(said(&error).contains("2097152 bytes at the end of"), "{}", said(&error));
}

#[test]
fn a_rotation_that_was_interrupted_is_recovered() {
    let history = History::new(8, BYTES);
    let (last, before) = (history.segments().pop().expect("several"), history.segments().len());
    // After the new segment was placed, before its first record.
    let text = fs::read_to_string(&last).expect("our own file");
    let header = text.lines().next().expect("a header").to_owned() + "\n";
    let first: u64 = last.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("a segment's name");
    fs::write(&last, &header).expect("our own file");
    let notes = fs::read_to_string(history.path().join("checkpoints")).expect("our own file");
    let size = |body: &str| body.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(u64::MAX);
    let parts: Vec<_> = notes.split_terminator("\n\n").collect();
    let kept = parts.chunks(2).take_while(|part| size(part[0]) <= first).flatten();
    let kept: String = kept.map(|part| format!("{part}\n\n")).collect();
    fs::write(history.path().join("checkpoints"), kept).expect("our own file");
    // Before it was placed, there may be an unfinished one beside it.
    fs::write(history.path().join("00000000000000000099.jsonl.new"), &header[..9]).expect("our own file");
    let (log, recovery) = open(history.path());
    assert_eq!(recovery, Recovery { size: first, ..Recovery::default() });
    assert!(!history.path().join("00000000000000000099.jsonl.new").exists());
    assert_eq!(append(&log, 0..1)[0].seq(), first);
    log.close().expect("there is room");
    assert_eq!(history.segments().len(), before);
    assert!(history.verify().expect("it is right").is_whole());
}

#[test]
fn a_torn_checkpoint_is_cut_off_and_written_again() {
    let history = History::new(3, 100_000);
    let path = history.path().join("checkpoints");
    let bytes = fs::read(&path).expect("our own file");
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).expect("our own file");
        let (log, recovery) = open(history.path());
        assert_eq!((recovery.size, recovery.unsigned), (3, 3));
        log.close().expect("there is room");
        assert!(history.verify().expect("it is right").is_whole(), "after {length} bytes");
    }
}

#[test]
fn a_log_has_one_writer_and_one_key() {
    let history = History::new(3, 100_000);
    let (log, _) = open(history.path());
    let error = Log::open(history.path(), options(BYTES, Retention::default())).expect_err("it is open");
    assert!(said(&error).contains("another process writes it"), "{}", said(&error));
    drop(log);
    drop(open(history.path()));
    let key = history.path().join("signing.key");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&key).expect("our own file").permissions().mode() & 0o777, 0o600);
    let exported = fs::read_to_string(history.path().join(trust::log::PUBLIC_KEY)).expect("it is exported");
    assert_eq!(exported.trim_end(), history.key.to_string());
    fs::remove_file(&key).expect("our own file");
    let error = Log::open(history.path(), options(BYTES, Retention::default())).expect_err("a new key would sign it");
    assert!(said(&error).contains("signing.key is missing"), "{}", said(&error));
}

#[test]
fn retention_removes_the_oldest_segments_and_what_is_kept_stays_verifiable() {
    let place = tempfile::tempdir().expect("a directory");
    let rule = Retention { segments: Some(3), ..Retention::default() };
    let (log, _) = Log::open(place.path(), options(BYTES, rule)).expect("a new log");
    append(&log, 0..60);
    let key = log.key().clone();
    log.close().expect("there is room");
    let kept = segments(place.path());
    assert_eq!(kept.len(), 3, "{kept:?}");
    let report = verify(place.path(), &key, &[]).unwrap_or_else(|error| panic!("{}", said(&error)));
    assert!(report.oldest > 40 && report.size == 60 && report.is_whole(), "{report:?}");
    // What retention has not removed may not be missing.
    let oldest = fs::read(&kept[0]).expect("our own file");
    fs::remove_file(&kept[0]).expect("our own file");
    assert!(verify(place.path(), &key, &[]).is_err());
    fs::write(&kept[0], oldest).expect("our own file");
    // A removal that was interrupted is finished.
    fs::copy(&kept[0], kept[0].with_file_name("00000000000000000000.jsonl")).expect("our own files");
    let (log, recovery) = Log::open(place.path(), options(BYTES, rule)).expect("it is right");
    assert_eq!((recovery.retired, recovery.size, log.status().oldest), (1, 60, report.oldest));
}

/// What happens to a log.
#[derive(Clone, Debug)]
enum Act {
    Append(u64),
    Checkpoint,
    Crash,
    Close,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (1..9u64).prop_map(Act::Append),
        2 => Just(Act::Checkpoint),
        2 => Just(Act::Crash),
        1 => Just(Act::Close),
    ];
    proptest::collection::vec(act, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_a_whole_log(acts in acts(), bytes in 300..4000u64, most in proptest::option::of(1..5u64)) {
        let retention = Retention { segments: most, ..Retention::default() };
        let rotation = Rotation { bytes, ..options(bytes, retention).rotation };
        let with = || trust::log::Options { rotation, ..options(bytes, retention) };
        let mut place = tempfile::tempdir().expect("a directory");
        let mut log = Some(Log::open(place.path(), with()).expect("a new log").0);
        let key = log.as_ref().expect("it is open").key().clone();
        let mut sealed = Vec::new();
        for act in acts {
            let open = log.take().expect("it is open");
            log = Some(match act {
                Act::Append(count) => {
                    let begin = u64::try_from(sealed.len()).expect("a few");
                    for record in append(&open, begin..begin + count) {
                        prop_assert_eq!(record.seq(), u64::try_from(sealed.len()).expect("a few"));
                        sealed.push(record.leaf());
                    }
                    open
                }
                Act::Checkpoint => {
                    open.checkpoint().expect("there is room");
                    open
                }
                Act::Crash => {
                    // The second is answered when all that followed the first is done: nothing moves while it is copied.
                    open.checkpoint().and_then(|_| open.checkpoint()).expect("there is room");
                    let crashed = copy(place.path());
                    drop(open);
                    place = crashed;
                    Log::open(place.path(), with()).expect("it is right").0
                }
                Act::Close => {
                    open.close().expect("there is room");
                    prop_assert!(verify(place.path(), &key, &[]).is_ok_and(|report| report.is_whole()) || sealed.is_empty());
                    Log::open(place.path(), with()).expect("it is right").0
                }
            });
        }
        log.expect("it is open").close().expect("there is room");
        let report = verify(place.path(), &key, &[]).unwrap_or_else(|error| panic!("{}", said(&error)));
        prop_assert_eq!(report.size, u64::try_from(sealed.len()).expect("a few"));
        prop_assert!(report.is_whole());
        let mut reader = trust::log::Reader::open(place.path(), report.oldest).expect("it is right");
        for (seq, leaf) in sealed.iter().enumerate().skip(usize::try_from(report.oldest).expect("a few")) {
            let record = reader.next().expect("it is right").expect("it is there");
            let said = body(u64::try_from(seq).expect("a few"));
            prop_assert_eq!((record.leaf(), record.body()), (*leaf, said.as_str()));
        }
        prop_assert_eq!(reader.next().expect("it is right"), None);
    }
}
