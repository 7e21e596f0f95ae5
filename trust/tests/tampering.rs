//! Promise: whoever has only the files and the public key finds every change of a closed log, and where it is.

#[allow(dead_code, reason = "each test file uses its own part")]
mod history;

use history::{History, append, options, said};
use std::fs;
use std::path::Path;
use trust::format::Report;
use trust::log::{Log, ReadError, Retention, signed, verify, verify_part};

/// What is said of the changed log.
fn found(history: &History) -> String {
    match history.verify() {
        Ok(report) => panic!("nothing was found: {report:?}"),
        Err(ReadError::Damaged(finding)) => said(&finding),
        Err(error) => panic!("{}", said(&error)),
    }
}

/// Changes a file's lines.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(path).expect("a segment is text");
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    change(&mut lines);
    fs::write(path, lines.concat()).expect("our own file");
}

#[test]
fn a_log_that_nobody_touched_is_whole() {
    let history = History::new(23, 600);
    assert!(history.segments().len() > 3, "{:?}", history.segments());
    let report = history.verify().unwrap_or_else(|error| panic!("{}", said(&error)));
    assert_eq!((report.oldest, report.size, report.signed), (0, 23, Some(23)));
    assert!(report.checkpoints >= 8 && report.is_whole(), "{report:?}");
}

#[test]
fn every_change_of_a_single_byte_is_found() {
    let history = History::new(8, 600);
    let whole = history.verify().expect("nobody touched it");
    let mut tried = 0;
    for path in history.files() {
        let bytes = fs::read(&path).expect("our own file");
        for at in 0..bytes.len() {
            // One bit, another case or sign, a line break, nothing.
            for byte in [bytes[at] ^ 1, bytes[at] ^ 0x20, b'\n', b'0'].into_iter().filter(|new| *new != bytes[at]) {
                let mut changed = bytes.clone();
                changed[at] = byte;
                fs::write(&path, changed).expect("our own file");
                let report = history.verify().ok().filter(Report::is_whole);
                assert_eq!(report, None, "byte {at} of {} became {byte}", path.display());
                tried += 1;
            }
        }
        fs::write(&path, bytes).expect("our own file");
    }
    assert!(tried > 5_000, "{tried}");
    assert_eq!(history.verify().expect("it is as it was"), whole);
}

#[test]
fn every_file_that_was_cut_off_anywhere_is_found() {
    let history = History::new(8, 600);
    for path in history.files() {
        let bytes = fs::read(&path).expect("our own file");
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).expect("our own file");
            let report = history.verify().ok().filter(Report::is_whole);
            assert_eq!(report, None, "{} was cut to {length}", path.display());
        }
        fs::write(&path, bytes).expect("our own file");
    }
    assert!(history.verify().expect("it is as it was").is_whole());
}

#[test]
fn a_copy_of_the_newer_segments_is_verified_as_such() {
    let history = History::new(23, 600);
    let paths = history.segments();
    let from = found_first(&paths[2]);
    fs::remove_file(&paths[0]).and_then(|()| fs::remove_file(&paths[1])).expect("our own files");
    assert!(found(&history).contains("all from 0 on are kept"));
    let report =
        verify_part(history.path(), &history.key, &[], from).unwrap_or_else(|error| panic!("{}", said(&error)));
    assert_eq!((report.oldest, report.size, report.is_whole()), (from, 23, true));
    edit(&paths[2], |lines| lines[1] = lines[1].replace("denial", "Denial"));
    assert!(verify_part(history.path(), &history.key, &[], from).is_err());
}

#[test]
fn an_edit_is_found_at_its_line() {
    let history = History::new(23, 600);
    let path = &history.segments()[1];
    edit(path, |lines| lines[2] = lines[2].replace("denial", "Denial"));
    let said = found(&history);
    let (first, seq) = (path.file_name().expect("a name").to_string_lossy().into_owned(), found_first(path) + 2);
    // The next record says which hash the one before it had.
    assert!(said.contains(&first) && said.contains(&format!("line 4, record {seq}")), "{said}");
}

fn found_first(path: &Path) -> u64 {
    path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("a segment's name")
}

#[test]
fn an_edit_whose_chain_was_mended_is_found_at_the_next_checkpoint() {
    let history = History::new(12, 100_000);
    edit(&history.segments()[0], |lines| {
        lines[3] = lines[3].replace("denial", "Denial");
        for at in 4..lines.len() {
            let hash = trust::tree::Hash::leaf(lines[at - 1].as_bytes());
            let old = trust::tree::Hash::leaf(b"").to_string().len();
            let begin = lines[at].find("\"prev\":\"").expect("it has one") + 8;
            lines[at].replace_range(begin..begin + old, &hash.to_string());
        }
    });
    let said = found(&history);
    assert!(said.contains("record 4: records 0 to 4 are not those that were sealed"), "{said}");
}

#[test]
fn what_is_removed_doubled_or_reordered_is_found_at_its_line() {
    type Change = fn(&mut Vec<String>);
    let changes: [(Change, &str); 4] = [
        (|lines| drop(lines.remove(2)), "line 3, record 1: expected record 1 and found 2"),
        (|lines| lines.insert(2, lines[2].clone()), "line 4, record 2: expected record 2 and found 1"),
        (|lines| lines.swap(2, 3), "line 3, record 1: expected record 1 and found 2"),
        (|lines| lines.truncate(4), "records 3 to 4 are missing"),
    ];
    for (change, expected) in changes {
        let history = History::new(23, 600);
        edit(&history.segments()[0], change);
        let said = found(&history);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_log_that_was_cut_off_below_its_last_checkpoint_is_found() {
    let history = History::new(23, 600);
    let last = history.segments().pop().expect("there are several");
    edit(&last, |lines| drop(lines.pop()));
    let said = found(&history);
    assert!(
        said.contains("record 22: the log ends with 22 records, and a checkpoint says that there were 23"),
        "{said}"
    );
    fs::remove_file(&last).expect("our own file");
    assert!(found(&history).contains("it was cut off"));
}

#[test]
fn a_log_that_was_cut_off_with_its_checkpoints_is_found_by_one_that_was_kept_elsewhere() {
    let history = History::new(23, 100_000);
    let kept = signed(history.path(), &history.key).expect("they are right").pop().expect("there are some");
    edit(&history.segments()[0], |lines| lines.truncate(1 + 15));
    edit(&history.path().join("checkpoints"), |lines| lines.truncate(6 * 3));
    assert_eq!(history.verify().map(|report| report.size).expect("as if it had never been longer"), 15);
    let error = verify(history.path(), &history.key, &[kept]).expect_err("it is known to have been longer");
    assert!(said(&error).contains("a checkpoint says that there were 23"), "{}", said(&error));
}

#[test]
fn segments_that_were_removed_renamed_replayed_or_taken_from_another_log_are_found() {
    let removed = History::new(23, 600);
    fs::remove_file(&removed.segments()[1]).expect("our own file");
    assert!(found(&removed).contains("are missing: a segment was removed"));

    let oldest = History::new(23, 600);
    fs::remove_file(&oldest.segments()[0]).expect("our own file");
    assert!(found(&oldest).contains("all from 0 on are kept"), "{}", found(&oldest));

    let renamed = History::new(23, 600);
    let paths = renamed.segments();
    fs::rename(&paths[1], paths[1].with_file_name("00000000000000000001.jsonl")).expect("our own file");
    assert!(found(&renamed).contains("it was replayed, or renamed"));

    let replayed = History::new(23, 600);
    let paths = replayed.segments();
    fs::copy(&paths[0], &paths[1]).expect("our own files");
    assert!(found(&replayed).contains("it was replayed, or renamed"));

    // The same name, the same key's name, the same numbers; but other records or another key.
    let foreign = History::new(23, 600);
    let other = History::new(23, 600);
    for at in [0, 1, 2] {
        let (ours, theirs) = (&foreign.segments()[at], &other.segments()[at]);
        let kept = fs::read(ours).expect("our own file");
        fs::copy(theirs, ours).expect("our own files");
        let said = found(&foreign);
        assert!(said.contains("other log") || said.contains("other records") || said.contains("sealed"), "{said}");
        fs::write(ours, kept).expect("our own file");
    }
    assert!(foreign.verify().is_ok());
}

#[test]
fn a_forged_checkpoint_is_found_at_its_line() {
    let history = History::new(12, 100_000);
    let other = History::new(12, 100_000);
    let path = history.path().join("checkpoints");
    fs::copy(other.path().join("checkpoints"), &path).expect("our own files");
    assert!(
        found(&history).contains("checkpoints, line 1: the checkpoint was changed or forged"),
        "{}",
        found(&history)
    );

    let history = History::new(12, 100_000);
    edit(&history.path().join("checkpoints"), |lines| lines[7] = "11\n".to_owned());
    assert!(found(&history).contains("checkpoints, line 7: the checkpoint was changed"), "{}", found(&history));

    let history = History::new(12, 100_000);
    edit(&history.path().join("checkpoints"), |lines| lines.rotate_left(6));
    assert!(found(&history).contains("reordered or repeated"), "{}", found(&history));
}

#[test]
fn a_changed_log_is_not_written_on() {
    let history = History::new(12, 100_000);
    edit(&history.segments()[0], |lines| lines[3] = lines[3].replace("denial", "Denial"));
    let before = fs::read(&history.segments()[0]).expect("our own file");
    let error = Log::open(history.path(), options(100_000, Retention::default())).expect_err("it was changed");
    assert!(said(&error).contains("record 3") && said(&error).contains("move it away"), "{}", said(&error));
    assert_eq!(fs::read(&history.segments()[0]).expect("our own file"), before);
    // The control: the same log, unchanged, goes on.
    let history = History::new(12, 100_000);
    let (log, _) = Log::open(history.path(), options(100_000, Retention::default())).expect("nobody touched it");
    assert_eq!(append(&log, 12..13)[0].seq(), 12);
}
