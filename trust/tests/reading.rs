//! Records are read in order, from any on, and as they come.

#[allow(dead_code, reason = "each test file uses its own part")]
mod history;

use history::{History, append, body, options, said};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use trust::format::TimeNs;
use trust::log::{AppendError, Log, Options, ReadError, Reader, Retention, verify};

const BYTES: u64 = 600;

#[test]
fn a_reader_begins_anywhere_and_goes_through_all_segments() {
    let history = History::new(23, BYTES);
    for from in 0..24 {
        let mut reader = Reader::open(history.path(), from).expect("it is right");
        for seq in from..23 {
            let record = reader.next().expect("it is right").expect("it is there");
            assert_eq!((record.seq, record.body()), (seq, body(seq).as_str()));
        }
        assert_eq!(reader.next().expect("it is right"), None);
    }
}

#[test]
fn a_reader_begins_at_a_time_or_with_the_last_records() {
    let history = History::new(23, BYTES);
    let mut all = Reader::open(history.path(), 0).expect("it is right");
    let times: Vec<TimeNs> = (0..23).map(|_| all.next().expect("it is right").expect("it is there").time).collect();
    let begins = |reader: &mut Reader| reader.next().expect("it is right").map(|record| record.seq);
    for (seq, time) in (0..).zip(&times) {
        let first = times.iter().position(|other| other >= time).and_then(|at| u64::try_from(at).ok());
        let mut reader = Reader::open_at(history.path(), *time).expect("it is right");
        assert_eq!(begins(&mut reader), first, "{seq}");
        let mut reader = Reader::open_at(history.path(), TimeNs(time.0 + 1)).expect("it is right");
        let later = times.iter().position(|other| other > time).and_then(|at| u64::try_from(at).ok());
        assert_eq!(begins(&mut reader), later, "after {seq}");
        let mut reader = Reader::open_last(history.path(), seq).expect("it is right");
        assert_eq!(begins(&mut reader), (seq > 0).then(|| 23 - seq), "the last {seq}");
    }
    let mut reader = Reader::open_last(history.path(), u64::MAX).expect("it is right");
    assert_eq!(begins(&mut reader), Some(0));
    let report = history.verify().unwrap_or_else(|error| panic!("{}", said(&error)));
    assert_eq!(report.times, Some((times[0], times[22])));
}

#[test]
fn where_the_clock_was_set_back_nothing_after_the_first_is_left_out() {
    let history = History::new(4, 100_000);
    let path = &history.segments()[0];
    let text = std::fs::read_to_string(path).expect("our own file");
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for (line, time) in lines.iter_mut().skip(1).zip(["10", "30", "20", "40"]) {
        let begin = line.find("\"time\":").expect("it has one") + 7;
        let end = begin + line[begin..].find(',').expect("it ends");
        line.replace_range(begin..end, time);
    }
    std::fs::write(path, lines.concat()).expect("our own file");
    let mut reader = Reader::open_at(history.path(), TimeNs(25)).expect("it is right");
    let mut seen = Vec::new();
    while let Some(record) = reader.next().expect("it is right") {
        seen.push(record.time.0);
    }
    assert_eq!(seen, [30, 20, 40]);
}

#[test]
fn a_reader_follows_what_is_written_and_stops_at_what_is_sealed() {
    let place = tempfile::tempdir().expect("a directory");
    let (log, _) = Log::open(place.path(), options(BYTES, Retention::default())).expect("a new log");
    let mut all = Reader::open(place.path(), 0).expect("it is there");
    // One that waits for a record of the future.
    let mut late = Reader::open(place.path(), 12).expect("it is there");
    let mut bounded = Reader::open(place.path(), 0).expect("it is there");
    bounded.up_to(7);
    for seq in 0..20 {
        assert_eq!(all.next().expect("it is right"), None);
        append(&log, seq..seq + 1);
        assert_eq!(log.status().size, seq + 1);
        assert_eq!(all.next().expect("it is right").map(|record| record.seq), Some(seq));
        assert_eq!(late.next().expect("it is right").map(|record| record.seq), (seq >= 12).then_some(seq));
        assert_eq!(bounded.next().expect("it is right").map(|record| record.seq), (seq < 7).then_some(seq));
    }
}

#[test]
fn a_reader_that_retention_has_overtaken_is_told_so() {
    let place = tempfile::tempdir().expect("a directory");
    let rule = Retention { segments: Some(2), ..Retention::default() };
    let (log, _) = Log::open(place.path(), options(BYTES, rule)).expect("a new log");
    let mut slow = Reader::open(place.path(), 0).expect("it is there");
    append(&log, 0..30);
    log.close().expect("there is room");
    let error = loop {
        match slow.next() {
            Ok(record) => assert!(record.is_some(), "the reader would wait for ever"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ReadError::Retired { .. }), "{}", said(&error));
    assert!(matches!(Reader::open(place.path(), 0), Err(ReadError::Retired { seq: 0, .. })));
}

#[test]
fn many_callers_are_answered_in_the_order_of_the_log() {
    let place = tempfile::tempdir().expect("a directory");
    let (log, _) = Log::open(place.path(), options(1 << 20, Retention::default())).expect("a new log");
    let (answer, answers) = std::sync::mpsc::channel();
    for number in 0..1000 {
        let answer = answer.clone();
        log.append(body(number), move |result| answer.send((number, result)).expect("it is waited for"));
    }
    drop(answer);
    for (number, result) in answers.iter().take(1000) {
        assert_eq!(result.expect("there is room").seq(), number);
    }
    drop(log);
}

#[test]
fn a_full_queue_refuses_at_once_and_loses_nothing_that_it_took() {
    let place = tempfile::tempdir().expect("a directory");
    let (log, _) = Log::open(place.path(), options(64 << 20, Retention::default())).expect("a new log");
    // The log's thread waits in the first answer, as it would for a disk that hangs.
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (answer, answers) = std::sync::mpsc::channel();
    let first = answer.clone();
    log.append(body(0), move |result| {
        first.send(result).expect("it is waited for");
        wait.recv().expect("the test goes on");
    });
    assert_eq!(answers.recv().expect("it is answered").expect("there is room").seq(), 0);
    let mut taken = 0;
    let refused = loop {
        let answer = answer.clone();
        log.append(body(1), move |result| answer.send(result).expect("it is waited for"));
        match answers.try_recv() {
            Ok(result) => break result,
            Err(_) => taken += 1,
        }
        assert!(taken < 1_000_000, "memory is bounded");
    };
    assert!(matches!(refused, Err(AppendError::Busy { .. })), "{refused:?}");
    go_on.send(()).expect("it waits");
    for seq in 1..=taken {
        assert_eq!(answers.recv().expect("it is answered").expect("there is room").seq(), seq);
    }
    assert_eq!(log.status().size, taken + 1);
}

#[test]
fn a_log_is_verified_while_it_is_written_rotated_and_retired() {
    let place = tempfile::tempdir().expect("a directory");
    // Enough that a verifier who has to wait for the processor is not overtaken each time.
    let rule = Retention { segments: Some(20), ..Retention::default() };
    let every = Options { checkpoint_every: Duration::from_millis(1), ..options(BYTES, rule) };
    let (log, _) = Log::open(place.path(), every).expect("a new log");
    append(&log, 0..1);
    let key = log.key().clone();
    let writing = AtomicBool::new(true);
    let verified = std::thread::scope(|scope| {
        let verifier = scope.spawn(|| {
            let mut verified = 0;
            while writing.load(Ordering::Relaxed) {
                verify(place.path(), &key, &[]).unwrap_or_else(|error| panic!("{}", said(&error)));
                verified += 1;
            }
            verified
        });
        append(&log, 1..400);
        writing.store(false, Ordering::Relaxed);
        verifier.join().expect("every time it was right")
    });
    assert!(verified > 5, "it was verified {verified} times only");
    assert!(log.status().oldest > 300);
}
