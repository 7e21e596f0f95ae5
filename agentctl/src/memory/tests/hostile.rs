//! Archives that were made to break out, or to break something.

use super::*;
use crate::tar::{Entry, Kind, Time, Writer};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn entry(path: &str, kind: Kind) -> Entry {
    Entry { path: path.into(), kind, mode: 0o777, mtime: Time::default(), attributes: BTreeMap::new() }
}

fn file(path: &str) -> Entry {
    entry(path, Kind::File { size: 4 })
}

fn directory(path: &str) -> Entry {
    entry(path, Kind::Directory)
}

fn link(path: &str, target: &str) -> Entry {
    entry(path, Kind::Symlink { target: target.into() })
}

fn hard(path: &str, to: &str) -> Entry {
    entry(path, Kind::HardLink { to: to.into() })
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for entry in entries {
        writer.add(entry, &mut &b"evil"[..]).expect("written");
    }
    writer.finish().expect("written")
}

/// What stands beside a tree; nothing may change it.
struct Witness {
    place: Place,
}

impl Witness {
    fn new() -> Self {
        let place = Place::new();
        fs::create_dir(place.beside().join("outside")).expect("a directory");
        fs::write(place.beside().join("outside/file"), "witness").expect("a file");
        set_time(&place.beside().join("outside/file"), 7, 0);
        set_time(&place.beside().join("outside"), 7, 0);
        Self { place }
    }

    fn check(&self) {
        let of = |path: &str| fs::symlink_metadata(self.place.beside().join(path)).expect("it is there");
        assert_eq!((of("outside").mtime(), of("outside/file").mtime(), of("outside/file").nlink()), (7, 7, 1));
        assert_eq!(fs::read_to_string(self.place.beside().join("outside/file")).expect("a file"), "witness");
        let mut names: Vec<_> =
            fs::read_dir(self.place.beside()).expect("it").flatten().map(|e| e.file_name()).collect();
        names.sort();
        assert_eq!(names, ["outside", "tree"]);
        let mut top: Vec<_> = fs::read_dir(self.place.root()).expect("it").flatten().map(|e| e.file_name()).collect();
        top.sort();
        assert_eq!(top, ["mem", "state"]);
    }
}

#[test]
fn what_leads_out_of_the_tree_is_refused_by_name() {
    let cases: &[(&str, &[Entry], &str)] = &[
        ("absolute", &[file("/state/x")], "/state/x is an absolute path"),
        ("upwards", &[file("state/../../outside/file")], "leads upwards"),
        ("upwards at the end", &[directory("state/..")], "leads upwards"),
        ("no part", &[file("outside/file")], "lies in no part"),
        ("no part", &[file("state2/file")], "lies in no part"),
        ("a part that is a file", &[file("state")], "lies in no part"),
        ("a part that is a link", &[link("mem/semantic", "/etc")], "lies in no part"),
        ("the root as a file", &[file(".")], "lies in no part"),
        ("through a link", &[link("state/l", "../../outside"), file("state/l/file")], "cannot make state/l"),
        ("through an absolute link", &[link("state/l", "/tmp"), file("state/l/x")], "cannot make state/l"),
        ("through two", &[link("state/a", "b"), link("state/b", ".."), file("state/a/x")], "cannot make state/a"),
        ("over a link", &[link("state/l", "../../outside/file"), file("state/l")], "comes twice"),
        ("a directory over a link", &[link("state/l", "../../outside"), directory("state/l")], "comes twice"),
        ("a hard link upwards", &[hard("state/h", "../outside/file")], "no file that came before"),
        ("an absolute hard link", &[hard("state/h", "/etc/passwd")], "no file that came before"),
        ("a hard link through a link", &[link("state/l", "../../outside"), hard("state/h", "state/l/file")], "state/l"),
        (
            "a hard link to a link",
            &[link("state/l", "/etc/passwd"), hard("state/h", "state/l")],
            "no file that came before",
        ),
        ("a hard link to a directory", &[directory("state/d"), hard("state/h", "state/d")], "no file that came before"),
        ("a hard link across parts", &[file("state/x"), hard("mem/semantic/h", "state/x")], "no file that came before"),
        ("twice", &[file("state/x"), file("state/x")], "comes twice"),
        ("a directory twice", &[directory("state/x"), directory("state/x")], "comes twice"),
        ("a directory over a file", &[file("state/x"), directory("state/x")], "comes twice"),
        ("beneath a file", &[file("state/x"), file("state/x/y")], "cannot make state/x"),
        ("a long name", &[file(&format!("state/{}", "x".repeat(256)))], "longer than 255"),
    ];
    for (what, entries, sentence_part) in cases {
        let witness = Witness::new();
        let refused = witness.place.import(&archive(entries)).expect_err(what);
        let said = sentence(&refused);
        assert!(said.contains(sentence_part), "{what}: {said}");
        let mut clauses: Vec<_> = said.split([':', ';']).map(|clause| clause.trim().rsplit(" is ").next()).collect();
        let count = clauses.len();
        clauses.sort_unstable();
        clauses.dedup();
        assert_eq!(clauses.len(), count, "{what}: the same is said twice: {said}");
        witness.check();
    }
}

#[test]
fn the_controls_of_those_are_taken() {
    let good = [
        directory("."),
        directory("mem"),
        directory("state"),
        file("./state//x"),
        file("state/on/the/way/x"),
        directory("state/on/the"),
        link("state/l", "../../outside"),
        hard("state/h", "state/x"),
        file(&format!("state/{}", "x".repeat(255))),
    ];
    let witness = Witness::new();
    witness.place.import(&archive(&good)).expect("imported");
    witness.check();
    assert_eq!(fs::read(witness.place.at("state/h")).expect("a file"), b"evil");
    let mode = |path: &str| fs::metadata(witness.place.at(path)).expect("it").mode() & 0o7777;
    assert_eq!((mode("state/on"), mode("state/on/the")), (0o755, 0o777), "only named, and given");
}

#[test]
fn a_fifo_or_a_name_does_not_keep_us_waiting() {
    let witness = Witness::new();
    let entries = [entry("state/f", Kind::Fifo), hard("state/h", "state/f")];
    assert!(witness.place.import(&archive(&entries)).is_err());
    let fifo = witness.place.at("state/f");
    assert!(fs::symlink_metadata(fifo).is_ok_and(|found| !found.is_file()));
    // An export opens every name that it finds.
    assert!(!witness.place.export().is_empty());
}

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "..", ".", "", "state", "mem", "semantic", "outside", "file"]);
    let names = prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"));
    prop_oneof![3 => names.clone().prop_map(|names| format!("state/{names}")), 1 => names]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        path().prop_map(|path| file(&path)),
        path().prop_map(|path| directory(&path)),
        (path(), prop_oneof![path(), Just("../../outside".to_owned()), Just("/tmp".to_owned())])
            .prop_map(|(path, target)| link(&path, &target)),
        (path(), path()).prop_map(|(path, to)| hard(&path, &to)),
        path().prop_map(|path| entry(&path, Kind::Fifo)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_archive_changes_anything_outside(entries in prop::collection::vec(any_entry(), 1..8)) {
        let witness = Witness::new();
        // Refused or not: what lies outside is as it was.
        drop(witness.place.import(&archive(&entries)));
        witness.check();
    }
}
