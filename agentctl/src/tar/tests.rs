//! The codec: what is written reads back, and hostile bytes are refused with a sentence.

use super::tried::{hostile, read, write};
use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn named(path: &[u8], kind: Kind) -> Entry {
    Entry { path: path.to_vec(), kind, mode: 0o640, mtime: Time::default(), attributes: BTreeMap::new() }
}

fn file(path: &[u8], content: &[u8]) -> (Entry, Vec<u8>) {
    (named(path, Kind::File { size: content.len() as u64 }), content.to_vec())
}

/// One header block of these values, with a right checksum.
fn block(kind: u8, name: &str, size: u64) -> [u8; BLOCK] {
    let header = fields::encode(tar::EntryType::new(kind), name.as_bytes(), b"", (0o644, size, 0));
    *header.as_bytes()
}

fn refusal(bytes: &[u8]) -> String {
    let (_, error) = read(bytes);
    let error = error.expect("refused");
    std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => proptest::char::range('a', 'd').prop_map(|c| c as u8), 1 => 1..=255_u8];
    let length = prop_oneof![5 => 1..20_usize, 1 => 95..105_usize, 1 => 200..300_usize];
    length.prop_flat_map(move |length| vec(byte.clone(), length)).prop_map(|mut name| {
        name.push(b'x');
        name
    })
}

fn entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let kind = prop_oneof![
        vec(any::<u8>(), 0..1500).prop_map(|content| (Kind::File { size: content.len() as u64 }, content)),
        Just((Kind::Directory, vec![])),
        name().prop_map(|target| (Kind::Symlink { target }, vec![])),
        name().prop_map(|to| (Kind::HardLink { to }, vec![])),
        Just((Kind::Fifo, vec![])),
    ];
    let time =
        (prop_oneof![any::<i32>().prop_map(i64::from), Just(1 << 40)], prop_oneof![Just(0), 0..1_000_000_000_u32]);
    let attributes = btree_map(name(), vec(any::<u8>(), 0..600), 0..3);
    (name(), kind, 0..=0o7777_u32, time, attributes).prop_map(|(path, (kind, content), mode, time, attributes)| {
        let may = matches!(kind, Kind::File { .. } | Kind::Directory);
        let attributes =
            attributes.into_iter().filter(|_| may).map(|(name, value)| ([ATTRIBUTES, &name].concat(), value));
        let mtime = Time { seconds: time.0, nanoseconds: time.1 };
        (Entry { path, kind, mode, mtime, attributes: attributes.collect() }, content)
    })
}

proptest! {
    #[test]
    fn every_entry_reads_back(entries in vec(entry(), 0..6)) {
        let archive = write(&entries);
        prop_assert_eq!(archive.len() % BLOCK, 0);
        let (again, end) = read(&archive);
        prop_assert!(end.is_none(), "{:?}", end);
        prop_assert_eq!(again, entries);
    }

    #[test]
    fn a_damaged_archive_is_refused_or_means_something(
        entries in vec(entry(), 1..4),
        hits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut archive = write(&entries);
        for (at, byte) in hits {
            let at = at.index(archive.len());
            archive[at] = byte;
        }
        hostile(&archive);
        hostile(&archive[..cut.index(archive.len())]);
    }

    #[test]
    fn an_archive_that_is_cut_off_is_refused(entries in vec(entry(), 0..4), cut in any::<prop::sample::Index>()) {
        let archive = write(&entries);
        let (_, end) = read(&archive[..cut.index(archive.len())]);
        prop_assert!(matches!(end, Some(ReadError::Early)), "{:?}", end);
    }

    #[test]
    fn any_records_are_refused_or_mean_something(records in any::<Vec<u8>>()) {
        let mut archive = block(b'x', "pax", records.len() as u64).to_vec();
        archive.extend_from_slice(&records);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        archive.extend_from_slice(&block(b'0', "name", 0));
        archive.extend_from_slice(&[0; 2 * BLOCK]);
        hostile(&archive);
    }
}

#[test]
fn what_no_memory_holds_is_refused_by_name() {
    for (kind, word) in [(b'3', "device"), (b'4', "device"), (b'S', "--sparse"), (b'V', "type 'V'"), (b'M', "type 'M'")]
    {
        let said = refusal(&block(kind, "mem/semantic/x", 0));
        assert!(said.starts_with("mem/semantic/x: ") && said.contains(word), "{said}");
    }
    assert!(refusal(&block(b'5', "d", 7)).contains("has a content"));
    assert!(refusal(&[b'x'; BLOCK]).contains("no tar archive"));
    assert!(refusal(b"\x28\xb5\x2f\xfd").contains("ends early"));
    let mut v7 = block(b'0', "x", 0);
    v7[257..265].fill(0);
    assert!(refusal(&v7).contains("no tar archive"), "and its checksum is wrong");
}

#[test]
fn nothing_is_held_that_does_not_come() {
    // A header that promises 8 GiB of names, and then nothing.
    assert!(refusal(&block(b'L', "x", 0o77_777_777_777)).contains("longer than 16 MiB"));
    assert!(refusal(&block(b'x', "x", 1 << 23)).contains("ends early"));
    let mut huge = block(b'0', "x", 0);
    huge[124..136].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    fix(&mut huge);
    assert!(refusal(&huge).contains("ends early"), "a size near the largest");
    huge[125] = 1;
    fix(&mut huge);
    assert!(refusal(&huge).contains("no number"), "a size beyond it");
}

fn fix(block: &mut [u8; BLOCK]) {
    let mut header = tar::Header::from_byte_slice(block).clone();
    header.set_cksum();
    *block = *header.as_bytes();
}

#[test]
fn a_header_for_all_entries_may_only_comment() {
    let global = |records: &[u8]| {
        let mut archive = block(b'g', "pax_global_header", records.len() as u64).to_vec();
        archive.extend_from_slice(records);
        archive.resize(2 * BLOCK, 0);
        archive.extend_from_slice(&write(&[file(b"x", b"y")]));
        archive
    };
    assert_eq!(read(&global(b"13 comment=a\n")).0.len(), 1);
    assert!(refusal(&global(b"10 path=y\n")).contains("changes them"));
}

#[test]
fn the_same_entry_is_always_the_same_bytes() {
    let archive = write(&[file(b"mem/semantic/x", b"hello")]);
    assert_eq!(archive.len(), BLOCK + BLOCK + 2 * BLOCK);
    assert_eq!(&archive[..15], b"mem/semantic/x\0");
    // Mode, owner, group, size, time, and the signature.
    assert_eq!(&archive[100..148], b"0000640\x000000000\x000000000\x0000000000005\x0000000000000\0");
    assert_eq!(&archive[257..265], b"ustar\x0000");
    assert!(archive[265..512].iter().all(|byte| matches!(byte, 0 | b'0')), "no owner, no device");
}

#[test]
fn every_seed_of_the_fuzzer_keeps_the_promises_whole_and_cut_off() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/tar");
    let mut seen = 0;
    for seed in seeds.read_dir().expect("the seeds") {
        let bytes = std::fs::read(seed.expect("a seed").path()).expect("a seed");
        hostile(&bytes);
        (1..8).for_each(|eighths| hostile(&bytes[..bytes.len() * eighths / 8]));
        seen += 1;
    }
    assert!(seen > 2, "{seen} seeds");
}
