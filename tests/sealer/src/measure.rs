//! Figures: sealing together, sealing one by one, verifying.

use crate::Kept;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;
use trust::format::Body;
use trust::log::{AppendError, Log, Sealed, verify};

/// Records that are on their way at a time: what a busy daemon has.
const IN_FLIGHT: usize = 512;

/// Prints the figures; the directory is used for three logs.
pub(crate) fn run(directory: &Path, (records, single, verified): (u64, u64, u64)) -> Result<()> {
    let (together, bytes) = together(&directory.join("together"), records)?;
    let latencies = one_by_one(&directory.join("single"), single)?;
    let (seconds, size) = verifying(&directory.join("verified"), verified)?;
    let figures = json!({
        "together": {"records": records, "seconds": together, "bytes_each": bytes},
        "latencies": latencies,
        "verify": {"records": size, "seconds": seconds},
    });
    println!("{figures}");
    Ok(())
}

/// A record of a denial, as the daemon writes it.
fn body(number: u64) -> Result<Body> {
    let value: Value = json!({
        "event": "denial", "agent": {"id": 17, "name": "coder-1", "uid": 1_900_017}, "pid": 4000 + number % 1000,
        "exe": "/usr/bin/python3.11", "attempt": {"action": "open", "path": format!("/etc/shadow-{number}"), "flags": "O_RDONLY"},
        "decision": "denied", "rule": "filesystem: nothing grants it", "stopped_by": "landlock", "errno": "EACCES",
        "policy": "sha256:8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1"
    });
    Ok(Body::new(&value)?)
}

fn open(directory: &Path) -> Result<Log> {
    Ok(Log::open(directory, Kept { segment: 64 << 20, segments: None, checkpoint: 1000 }.options()?)?.0)
}

/// Seconds for `records`, of which some hundred are on their way at any time; bytes that one takes.
fn together(directory: &Path, records: u64) -> Result<(f64, u64)> {
    let log = open(directory)?;
    let bodies = (0..records).map(body).collect::<Result<Vec<_>>>()?;
    let begin = Instant::now();
    fill(&log, bodies)?;
    let seconds = begin.elapsed().as_secs_f64();
    log.close()?;
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    Ok((seconds, bytes / records.max(1)))
}

fn fill(log: &Log, bodies: Vec<Body>) -> Result<()> {
    type Answer = SyncSender<Result<Sealed, AppendError>>;
    let (answer, answers): (Answer, _) = sync_channel(IN_FLIGHT);
    let mut on_their_way = 0;
    for body in bodies {
        if on_their_way == IN_FLIGHT {
            answers.recv().context("the log has ended")?.map(drop)?;
            on_their_way -= 1;
        }
        let answer = answer.clone();
        log.append(body, move |result| drop(answer.send(result)));
        on_their_way += 1;
    }
    (0..on_their_way).try_for_each(|_| answers.recv().context("the log has ended")?.map(drop).map_err(Into::into))
}

/// Seconds of each append.
fn one_by_one(directory: &Path, records: u64) -> Result<Vec<f64>> {
    let log = open(directory)?;
    let append = |number| {
        let body = body(number)?;
        let begin = Instant::now();
        let sealed = log.append_and_wait(body)?;
        let seconds = begin.elapsed().as_secs_f64();
        ensure!(sealed.seq() == number, "record {number} became {}", sealed.seq());
        Ok(seconds)
    };
    (0..records).map(append).collect()
}

/// Seconds for verifying a log of so many records, on this one thread.
fn verifying(directory: &Path, records: u64) -> Result<(f64, u64)> {
    let log = open(directory)?;
    let key = log.key().clone();
    const PIECE: u64 = 50_000;
    for piece in 0..records.div_ceil(PIECE) {
        let numbers = piece * PIECE..records.min((piece + 1) * PIECE);
        fill(&log, numbers.map(body).collect::<Result<_>>()?)?;
    }
    log.close()?;
    let begin = Instant::now();
    let report = verify(directory, &key, &[])?;
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(report.is_whole() && report.size == records, "the log is not whole: {report:?}");
    Ok((seconds, report.size))
}
