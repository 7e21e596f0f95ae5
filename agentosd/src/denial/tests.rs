//! Real records in, sentences out; and hostile bytes.

use super::Completeness;
use super::event::{Assembly, By, Event};
use super::ledger::{LIST_LENGTH, Ledger};
use super::record::{Body, Object, Record, kind, parse};
use super::{Progress, Registration};
use crate::violation::Touched;
use proptest::prelude::*;
use protocol::denial::{Denial, Layer};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, channel};

/// Recorded on Linux 6.18 from a process that tried one thing after another: `KIND audit(…): …` a line.
const RECORDED: &str = include_str!("recorded.txt");
/// One sentence for each refusal in it.
const SENTENCES: &str = include_str!("recorded.sentences.txt");
const DOMAIN: u64 = 0x1_35b8_98c0;
const INIT: i32 = 7309;

fn records(text: &str) -> impl Iterator<Item = Record> {
    text.lines().filter_map(|line| {
        let (kind, payload) = line.split_once(' ').expect("a kind");
        parse(kind.parse().expect("a number"), payload.as_bytes())
    })
}

fn register(ledger: &mut Ledger, uid: u32, init_pid: i32) -> Receiver<Denial> {
    register_with_alarm(ledger, uid, init_pid).0
}

fn register_with_alarm(ledger: &mut Ledger, uid: u32, init_pid: i32) -> (Receiver<Denial>, Receiver<Touched>) {
    let ((sink, list), (alarm, touched)) = (channel(20_000), channel(4));
    let policy = "base".to_owned();
    ledger.register(Registration { uid, init_pid, policy, sink, alarm, resume: None });
    (list, touched)
}

fn feed(ledger: &mut Ledger, records: impl Iterator<Item = Record>) {
    let (mut assembly, now) = (Assembly::default(), Instant::now());
    for record in records {
        assembly.take(record, now, &mut |event| ledger.take(event));
    }
    assembly.expire(now + Duration::from_secs(1), &mut |event| ledger.take(event));
}

fn drained(mut list: Receiver<Denial>) -> Vec<Denial> {
    std::iter::from_fn(|| list.try_recv().ok()).collect()
}

fn access(serial: u32, domain: u64, rest: &str) -> Record {
    let line = format!("audit(1.000:{serial}): domain={domain:x} blockers={rest}");
    parse(kind::LANDLOCK_ACCESS, line.as_bytes()).expect("a whole record")
}

fn other(kind: u16, serial: u32, rest: &str) -> Record {
    parse(kind, format!("audit(1.000:{serial}): {rest}").as_bytes()).expect("a whole record")
}

fn syscall(serial: u32, uid: u32, pid: i32) -> Record {
    let rest = format!(
        "arch=c000003e syscall=257 success=no exit=-13 a0=0 a1=1 a2=2 a3=3 items=0 ppid=1 pid={pid} auid=4294967295 uid={uid} comm=\"cat\" exe=\"/usr/bin/cat\" key=(null)"
    );
    other(kind::SYSCALL, serial, &rest)
}

#[test]
fn every_recorded_refusal_is_said_in_words() {
    let mut ledger = Ledger::default();
    let list = register(&mut ledger, 4_000_000, INIT);
    feed(&mut ledger, records(RECORDED));
    let denials = drained(list);
    let said: Vec<&str> = denials.iter().map(|denial| denial.sentence.as_str()).collect();
    assert_eq!(said, SENTENCES.lines().collect::<Vec<_>>());
    assert!(denials.iter().zip(1..).all(|(denial, seq)| denial.seq == seq));
    assert_eq!(ledger.completeness(4_000_000, true), Some(Completeness::Complete { counted: 22 }));
}

#[test]
fn a_denial_carries_who_what_and_when() {
    let mut ledger = Ledger::default();
    let list = register(&mut ledger, 4_000_000, INIT);
    feed(&mut ledger, records(RECORDED));
    let first = drained(list).remove(0);
    assert_eq!((first.pid, first.exe.as_deref()), (Some(INIT), Some("/opt/agent/child")));
    // The process had named itself so as to look like a further field.
    assert_eq!(first.comm.as_deref(), Some("od\" path=\"/x"));
    assert_eq!((first.layer, first.action.as_str()), (Layer::Landlock, "read"));
    assert_eq!(first.object.as_deref(), Some("/etc/shadow"));
    assert_eq!(first.syscall.as_deref(), Some("openat"));
    assert_eq!(first.args, ["ffffff9c", "559900d24023", "0", "0"]);
    assert_eq!(first.time_us.0, 1_795_415_123_661_000);
}

#[test]
fn refusals_of_others_are_dropped() {
    let mut ledger = Ledger::default();
    let list = register(&mut ledger, 4_000_000, INIT + 1000);
    feed(&mut ledger, records(RECORDED));
    assert_eq!(drained(list), []);
    assert_eq!(ledger.completeness(4_000_000, true), Some(Completeness::Complete { counted: 0 }));
}

#[test]
fn interleaved_calls_keep_their_own_processes() {
    let mut ledger = Ledger::default();
    let (one, two) = (register(&mut ledger, 501, 1), register(&mut ledger, 502, 2));
    let stream = [
        access(1, 7, "fs.read_file path=\"/one\" dev=\"vda\" ino=1"),
        access(2, 8, "fs.read_file path=\"/two\" dev=\"vda\" ino=1"),
        other(kind::LANDLOCK_DOMAIN, 1, "domain=7 status=allocated mode=enforcing pid=1 uid=0 exe=\"/s\" comm=\"s\""),
        syscall(2, 502, 22),
        syscall(1, 501, 11),
        other(kind::EOE, 2, ""),
        other(kind::EOE, 1, ""),
    ];
    feed(&mut ledger, stream.into_iter());
    let short = |list| drained(list).into_iter().map(|denial| (denial.pid, denial.object)).collect::<Vec<_>>();
    assert_eq!(short(one), [(Some(11), Some("/one".to_owned()))]);
    assert_eq!(short(two), [(Some(22), Some("/two".to_owned()))]);
}

#[test]
fn refusals_whose_calls_are_not_recorded_are_known_by_their_domain_and_keep_their_order() {
    let mut ledger = Ledger::default();
    let list = register(&mut ledger, 501, 1);
    let allocated = "domain=7 status=allocated mode=enforcing pid=1 uid=0 exe=\"/s\" comm=\"s\"";
    let refused =
        (0..50).map(|serial| access(serial, 7, &format!("fs.read_file path=\"/{serial}\" dev=\"vda\" ino=1")));
    let stream = std::iter::once(other(kind::LANDLOCK_DOMAIN, 99, allocated)).chain(refused);
    let gone = other(kind::LANDLOCK_DOMAIN, 100, "domain=7 status=deallocated denials=50");
    feed(&mut ledger, stream.chain([gone]));
    let denials = drained(list);
    let paths: Vec<String> = denials.iter().filter_map(|denial| denial.object.clone()).collect();
    assert_eq!(paths, (0..50).map(|serial| format!("/{serial}")).collect::<Vec<_>>());
    assert!(denials.iter().all(|denial| denial.pid.is_none()));
    assert_eq!(ledger.completeness(501, true), Some(Completeness::Complete { counted: 50 }));
}

#[test]
fn a_domain_made_inside_the_agent_is_not_counted_as_ours() {
    let mut ledger = Ledger::default();
    let list = register(&mut ledger, 501, 1);
    let born = |domain, pid| {
        let rest = format!("domain={domain} status=allocated mode=enforcing pid={pid} uid=501 exe=\"/s\" comm=\"s\"");
        other(kind::LANDLOCK_DOMAIN, 1, &rest)
    };
    let stream = [
        born("9", 77),
        access(1, 9, "fs.read_file path=\"/x\" dev=\"vda\" ino=1"),
        syscall(1, 501, 77),
        born("7", 1),
        access(2, 7, "fs.read_file path=\"/y\" dev=\"vda\" ino=1"),
        syscall(2, 501, 77),
        other(kind::LANDLOCK_DOMAIN, 3, "domain=9 status=deallocated denials=50"),
        other(kind::LANDLOCK_DOMAIN, 4, "domain=7 status=deallocated denials=1"),
    ];
    feed(&mut ledger, stream.into_iter());
    let denials = drained(list);
    assert!(denials[0].sentence.ends_with("made inside the agent"), "{}", denials[0].sentence);
    assert_eq!(denials[1].sentence, "read /y: not granted by policy base");
    assert_eq!(ledger.completeness(501, true), Some(Completeness::Complete { counted: 1 }));
}

#[test]
fn no_number_of_domains_made_inside_makes_one_of_them_the_policys() {
    let mut ledger = Ledger::default();
    let (list, other_list) = (register(&mut ledger, 501, 1), register(&mut ledger, 502, 2));
    let born = |domain: u64, uid: u32| {
        let rest = format!("domain={domain:x} status=allocated mode=enforcing pid=77 uid={uid} exe=\"/s\" comm=\"s\"");
        other(kind::LANDLOCK_DOMAIN, 1, &rest)
    };
    let refused =
        |domain, uid| [access(1, domain, "fs.read_file path=\"/granted\" dev=\"vda\" ino=1"), syscall(1, uid, 77)];
    let first = [born(9, 501), born(10, 502)];
    let many = (100..10_000).map(|domain| born(domain, 501));
    feed(&mut ledger, first.into_iter().chain(many).chain(refused(9, 501)).chain(refused(10, 502)));
    let forged = drained(list);
    assert_eq!(forged[0].sentence, "read /granted: refused by a Landlock domain that is not known to be the policy's");
    assert_eq!(ledger.progress(501).map(|progress| progress.landlock), Some(0));
    // One agent's domains do not push out another's.
    assert!(drained(other_list)[0].sentence.ends_with("made inside the agent"));
    let unknown = Some(Completeness::Incomplete { listed: 0, counted: None });
    assert_eq!(ledger.completeness(501, true), unknown);
    assert_eq!(ledger.completeness(502, true), Some(Completeness::Complete { counted: 0 }));
}

#[test]
fn a_domain_whose_first_record_was_lost_is_not_taken_for_the_policys() {
    let mut ledger = Ledger::default();
    let list = register(&mut ledger, 501, 1);
    ledger.lost();
    let stream = [
        access(1, 7, "fs.read_file path=\"/x\" dev=\"vda\" ino=1"),
        syscall(1, 501, 9),
        other(kind::LANDLOCK_DOMAIN, 2, "domain=7 status=deallocated denials=1"),
    ];
    feed(&mut ledger, stream.into_iter());
    let denials = drained(list);
    assert_eq!(denials[0].sentence, "read /x: refused by a Landlock domain that is not known to be the policy's");
    assert_eq!(ledger.completeness(501, true), Some(Completeness::Incomplete { listed: 0, counted: None }));
}

#[test]
fn a_missed_denial_shows() {
    let mut ledger = Ledger::default();
    let list = register(&mut ledger, 4_000_000, INIT);
    let mut seen = 0;
    let one_lost = records(RECORDED).filter(|record| {
        seen += u32::from(matches!(&record.body, Body::Access(access) if access.domain == DOMAIN));
        !(seen == 5 && matches!(record.body, Body::Access(_)))
    });
    feed(&mut ledger, one_lost);
    drop(list);
    let expected = Completeness::Incomplete { listed: 21, counted: Some(22) };
    assert_eq!(ledger.completeness(4_000_000, true), Some(expected));
}

#[test]
fn without_any_record_only_an_undisturbed_log_counts_as_whole() {
    let mut ledger = Ledger::default();
    drop(register(&mut ledger, 501, 1));
    let unknown = Some(Completeness::Incomplete { listed: 0, counted: None });
    assert_eq!(ledger.completeness(501, false), unknown);
    assert_eq!(ledger.completeness(501, true), Some(Completeness::Complete { counted: 0 }));
    ledger.lost();
    assert_eq!(ledger.completeness(501, true), unknown);
}

#[test]
fn an_agent_taken_back_goes_on_with_its_numbers_and_its_domain() {
    let mut ledger = Ledger::default();
    let resume = |ledger: &mut Ledger, progress| {
        let (sink, list) = channel(8);
        let (policy, resume) = ("base".to_owned(), Some(progress));
        ledger.register(Registration { uid: 501, init_pid: 1, policy, sink, alarm: channel(4).0, resume });
        list
    };
    let list = resume(&mut ledger, Progress { seq: 4, landlock: 3, unlisted: 0, domain: Some(7) });
    let stream = [
        access(1, 7, "fs.read_file path=\"/x\" dev=\"vda\" ino=1"),
        syscall(1, 501, 9),
        other(kind::LANDLOCK_DOMAIN, 2, "domain=7 status=deallocated denials=4"),
    ];
    feed(&mut ledger, stream.into_iter());
    assert_eq!(drained(list).iter().map(|denial| denial.seq).collect::<Vec<_>>(), [5]);
    assert_eq!(ledger.completeness(501, true), Some(Completeness::Complete { counted: 4 }));

    // Nobody listened for a while, so that silence proves nothing.
    drop(resume(&mut ledger, Progress::default()));
    let unknown = Completeness::Incomplete { listed: 0, counted: None };
    assert_eq!(ledger.completeness(501, true), Some(unknown));
}

#[test]
fn a_flood_is_counted_and_not_kept() {
    let mut ledger = Ledger::default();
    let list = register(&mut ledger, 501, 1);
    let rest = "auid=1 uid=501 gid=501 ses=1 pid=9 comm=\"x\" exe=\"/x\" sig=0 arch=c000003e syscall=165 compat=0 ip=0x1 code=0x50000";
    feed(&mut ledger, (0..10_500).map(|serial| other(kind::SECCOMP, serial, rest)));
    assert_eq!(drained(list).len(), 10_000);
    let progress = ledger.progress(501).expect("registered");
    assert_eq!((progress.seq, progress.unlisted), (LIST_LENGTH, 500));
}

#[test]
fn a_tripwire_is_told_at_once_however_many_denials_came_before() {
    let mut ledger = Ledger::default();
    let (_list, mut touched) = register_with_alarm(&mut ledger, 501, 1);
    let refused = |call: u64| {
        let rest = format!(
            "auid=1 uid=501 gid=501 ses=1 pid=9 comm=\"x\" exe=\"/x\" sig=0 arch=c000003e syscall={call} compat=0 ip=0x1 code=0x50000"
        );
        other(kind::SECCOMP, 1, &rest)
    };
    // unshare(2), which honest programs try, more often than the list is long.
    feed(&mut ledger, (0..10_500).map(|_| refused(272)));
    assert!(touched.try_recv().is_err());
    feed(&mut ledger, [refused(165)].into_iter());
    let Touched { tripwire, denial } = touched.try_recv().expect("mount(2)");
    assert_eq!((tripwire.name(), denial.pid, denial.exe.as_deref()), ("mount", Some(9), Some("/x")));
    // Nobody reads: it stays bounded and nothing is held up.
    feed(&mut ledger, (0..100).map(|_| refused(165)));
    assert_eq!(std::iter::from_fn(|| touched.try_recv().ok()).count(), 4);
}

#[test]
fn what_a_domain_of_the_agents_own_refuses_touches_no_tripwire() {
    let mut ledger = Ledger::default();
    let (_list, mut touched) = register_with_alarm(&mut ledger, 501, 1);
    let allocated = |domain: u64, pid: i32| {
        let rest = format!("domain={domain} status=allocated mode=enforcing pid={pid} uid=501 exe=\"/x\" comm=\"x\"");
        other(kind::LANDLOCK_DOMAIN, 1, &rest)
    };
    let read = "fs.read_file path=\"/run/agentos/agents/root/status\" dev=\"tmpfs\" ino=1";
    feed(&mut ledger, [allocated(7, 1), allocated(8, 9), access(2, 8, read), syscall(2, 501, 9)].into_iter());
    assert!(touched.try_recv().is_err());
    feed(&mut ledger, [access(3, 7, read), syscall(3, 501, 9)].into_iter());
    assert_eq!(touched.try_recv().map(|touched| touched.tripwire.name()), Ok("other-agents"));
}

#[test]
fn what_a_filter_of_the_agents_own_refuses_is_not_the_policys() {
    let mut ledger = Ledger::default();
    let list = register(&mut ledger, 501, 1);
    let answered = |arch: &str, number: u64, code: u32| {
        let rest = format!(
            "auid=1 uid=501 gid=501 ses=1 pid=9 comm=\"x\" exe=\"/x\" sig=31 arch={arch} syscall={number} compat=0 ip=0x1 code={code:#x}"
        );
        other(kind::SECCOMP, 1, &rest)
    };
    let (native, i386) = ("c000003e", "40000003");
    const X32: u64 = 0x4000_0000;
    let own = [0, 0x8000_0000, 0x3_0000, 0x7fc0_0000, 0x7ff0_0000, 0x7ffc_0000].map(|code| answered(native, 39, code));
    // A thread of a foreign ABI that a filter of its own killed is not ours either: ours kills the process.
    let own = own.into_iter().chain([answered(i386, 20, 0), answered(native, X32 | 1, 0)]);
    let ours =
        [answered(native, 165, 0x5_0000), answered(i386, 20, 0x8000_0000), answered(native, X32 | 1, 0x8000_0000)];
    feed(&mut ledger, own.chain(ours));
    let said: Vec<String> = drained(list).into_iter().map(|denial| denial.sentence).collect();
    assert_eq!(
        said,
        [
            "mount: system call refused by seccomp (all policies)",
            "i386 system call 20: killed by seccomp (all policies)",
            "x32 system call write: killed by seccomp (all policies)",
        ]
    );
    let progress = ledger.progress(501).expect("registered");
    assert_eq!((progress.seq, progress.unlisted), (3, 0));
}

#[test]
fn events_without_an_end_do_not_pile_up() {
    let (mut assembly, now) = (Assembly::default(), Instant::now());
    let mut passed = 0_u32;
    for serial in 0..10_000 {
        let record = access(serial, 7, "fs.read_file path=\"/x\" dev=\"vda\" ino=1");
        assembly.take(record, now, &mut |_| passed += 1);
    }
    assert!(passed >= 10_000 - 4096, "{passed}");
    assembly.expire(now + Duration::from_secs(1), &mut |_| passed += 1);
    assert_eq!((passed, assembly.next_expiry()), (10_000, None));
}

/// A text the way the kernel prints what it does not trust.
fn untrusted(bytes: &[u8]) -> String {
    let plain = bytes.iter().all(|byte| (0x21..=0x7e).contains(byte) && *byte != b'"');
    if plain {
        return format!("\"{}\"", String::from_utf8_lossy(bytes));
    }
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(kind in 1100_u16..1500, payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let parsed = parse(kind, &payload);
        prop_assert!(parsed.is_none() || payload.starts_with(b"audit("));
    }

    #[test]
    fn any_text_behind_a_stamp_is_parsed_or_refused(
        kind in prop::sample::select(vec![1121_u16, 1300, 1320, 1326, 1423, 1424]),
        text in "(domain|blockers|path|pid|uid|code|syscall|arch|a0|status|=|\"| |0x|-|[0-9a-f]|\\PC){0,60}",
    ) {
        let record = parse(kind, format!("audit(1.2:3): {text}").as_bytes());
        if let Some(record) = record {
            prop_assert_eq!((record.stamp.time_us, record.stamp.serial), (1_002_000, 3));
        }
    }

    #[test]
    fn a_chosen_text_forges_no_field(path in prop::collection::vec(1_u8.., 1..60), comm in prop::collection::vec(1_u8.., 1..16)) {
        let line = format!("fs.read_file path={} dev=\"vda\" ino=1", untrusted(&path));
        let Body::Access(access) = access(1, 7, &line).body else { unreachable!() };
        prop_assert_eq!(access.blockers, vec!["fs.read_file".to_owned()]);
        prop_assert_eq!(access.object, Object::Path(String::from_utf8_lossy(&path).into_owned()));

        let line = format!("auid=1 uid=501 gid=1 ses=1 pid=9 comm={} exe=\"/x\" sig=0 arch=c000003e syscall=165 compat=0 ip=0x1 code=0x50000", untrusted(&comm));
        let Body::Seccomp { process, code, .. } = other(kind::SECCOMP, 1, &line).body else { unreachable!() };
        prop_assert_eq!((process.uid, process.pid, code), (501, 9, 0x50000));
        prop_assert_eq!(process.comm, Some(String::from_utf8_lossy(&comm).into_owned()));
    }

    #[test]
    fn whatever_the_order_every_refusal_comes_out_once(order in Just((0..60_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let all: Vec<Record> = (0..20).flat_map(|serial| {
            [access(serial, 7, "fs.read_file path=\"/x\" dev=\"vda\" ino=1"), syscall(serial, 501, 9), other(kind::EOE, serial, "")]
        }).collect();
        let (mut assembly, now, mut refused) = (Assembly::default(), Instant::now(), 0);
        let mut count = |event| refused += u32::from(matches!(event, Event::Refused(refusal) if matches!(refusal.by, By::Landlock(_))));
        for index in order {
            assembly.take(all[index].clone(), now, &mut count);
        }
        assembly.expire(now + Duration::from_secs(1), &mut count);
        prop_assert_eq!(refused, 20);
    }
}
