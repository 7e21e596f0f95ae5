//! Any bytes as the kernel's records, to an agent's list; called by `crate::fuzzing`.

use super::Registration;
use super::event::Assembly;
use super::ledger::{LIST_LENGTH, Ledger};
use super::record::parse;
use protocol::denial::Denial;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::channel;

/// The agent, as in the records that the seeds are made of.
const UID: u32 = 4_000_000;
const INIT: i32 = 7309;

/// An agent's list is bounded, in order, and every entry has its sentence and reads back from its file.
pub(crate) fn fuzzed(bytes: &[u8]) {
    let (mut ledger, mut assembly, now) = (Ledger::default(), Assembly::default(), Instant::now());
    let (sink, mut list) = channel(20_000);
    ledger.register(Registration {
        uid: UID,
        init_pid: INIT,
        policy: "base".into(),
        sink,
        alarm: channel(4).0,
        resume: None,
    });
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(space) = line.iter().position(|byte| *byte == b' ') else { continue };
        let kind = std::str::from_utf8(&line[..space]).ok().and_then(|kind| kind.parse().ok());
        if let Some(record) = kind.and_then(|kind| parse(kind, &line[space + 1..])) {
            assembly.take(record, now, &mut |event| ledger.take(event));
        }
    }
    assembly.expire(now + Duration::from_secs(1), &mut |event| ledger.take(event));
    assert!(assembly.next_expiry().is_none(), "nothing waits for ever");
    let denials: Vec<Denial> = std::iter::from_fn(|| list.try_recv().ok()).collect();
    let progress = ledger.progress(UID).expect("it is registered");
    assert!(denials.len() as u64 == progress.seq && progress.seq <= LIST_LENGTH && progress.landlock <= progress.seq);
    for (denial, seq) in denials.iter().zip(1..) {
        assert!(denial.seq == seq && !denial.sentence.is_empty() && !denial.action.is_empty(), "{denial:?}");
        let line = serde_json::to_vec(denial).expect("it is written to a file");
        assert!(!line.contains(&b'\n'), "{denial:?}");
        assert_eq!(serde_json::from_slice::<Denial>(&line).ok().as_ref(), Some(denial));
    }
    assert!(ledger.completeness(UID, true).is_some());
}
