//! What is exported is imported bit for bit, by us and by tar(1).

use super::*;
use proptest::prelude::*;
use rustix::fs::{AtFlags, mkdirat, openat};
use std::process::Command;

#[test]
fn an_archive_imports_bit_for_bit() {
    let archive = everything().export();
    let copy = imported(&archive);
    assert!(copy.export() == archive, "another archive");
    let of = |path: &str| fs::symlink_metadata(copy.at(path)).expect("it is there");
    let log = of("mem/episodic/log");
    assert_eq!((log.mtime(), log.mtime_nsec(), log.nlink()), (1_700_000_000, 987_654_321, 2));
    assert_eq!(log.ino(), of("mem/episodic/again").ino());
    assert_eq!(of("mem/procedural/a/b/run").mode() & 0o7777, 0o4751);
    assert_eq!((of("mem/procedural/a/b").mode() & 0o7777, of("mem/procedural/a/b").mtime()), (0o500, 10_000_000_000));
    assert_eq!((of("state/fifo").mode(), of("state").mtime_nsec()), (0o10_604, 2));
    assert_eq!((of("mem/semantic/out").mtime(), of("mem/semantic/out").mtime_nsec()), (-5, 123_456_789));
    assert_eq!(fs::read_link(copy.at("mem/semantic/out")).expect("a link"), Path::new("/etc/passwd"));
    assert_eq!(fs::read(copy.at("mem/episodic/again")).expect("a file"), b"first\nsecond\n");
    assert_eq!(fs::read(copy.at(bytes(b"mem/semantic/\xff\n\x1b"))).expect("a file"), b"any bytes in a name");
    let attribute = |path: &str, name: &[u8]| {
        let mut value = vec![0; 100];
        let length = rustix::fs::getxattr(copy.at(path), name, &mut value[..]).expect("an attribute");
        value.truncate(length);
        value
    };
    assert_eq!(attribute("mem/episodic/log", b"user.a=b%"), b"a\0b\n");
    assert_eq!(attribute("mem/procedural/a", b"user.empty"), b"");
}

fn tar(words: &[&str], directory: &Path) -> Vec<u8> {
    let output = Command::new("tar").args(words).current_dir(directory).output().expect("tar(1) is installed");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn gnu_tar_reads_our_archives() {
    let original = everything();
    let archive = original.beside().join("archive.tar");
    fs::write(&archive, original.export()).expect("an archive");
    let other = Place::new();
    tar(&["-xpf", &archive.to_string_lossy(), "--xattrs", "--overwrite"], &other.root());
    assert!(other.export() == original.export(), "tar(1) made another tree of it");
}

#[test]
fn archives_of_gnu_tar_are_taken() {
    let original = everything();
    let parts = ["./mem/episodic", "./mem/semantic", "./mem/procedural", "./state"];
    let pax = tar(&[&["-cf", "-", "--format=posix", "--xattrs", "--sort=name"], &parts[..]].concat(), &original.root());
    assert!(imported(&pax).export() == original.export(), "the pax format");
    let old = tar(&[&["-cf", "-", "--format=gnu", "--sort=name"], &parts[..]].concat(), &original.root());
    let copy = imported(&old);
    assert_eq!(copy.names(), original.names(), "the format of GNU tar");
    assert_eq!(fs::read_link(copy.at("mem/semantic/long")).expect("a link").as_os_str().len(), 3000);
}

#[test]
fn a_tree_deeper_than_any_path_is_taken_along() {
    let place = Place::new();
    let mut at = rustix::fs::open(place.at("state"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("a part");
    for level in 0..300 {
        let name = format!("{level:040}");
        mkdirat(&at, &name, Mode::RWXU).expect("a directory");
        at = openat(&at, &name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("the directory");
        // One of two levels goes on after its directory, so that the way back is walked too.
        if level % 2 == 0 {
            drop(openat(&at, "~behind", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).expect("a file"));
        }
    }
    let archive = place.export();
    let copy = imported(&archive);
    assert!(copy.export() == archive);
    for place in [place, copy] {
        // remove_dir_all(3) of a temporary directory needs no path either.
        let deep = Command::new("rm").arg("-rf").arg(place.root()).status().expect("rm(1)");
        assert!(deep.success());
    }
}

#[test]
fn an_archive_is_not_many_times_as_large_as_its_tree() {
    let place = Place::new();
    let mut at = rustix::fs::open(place.at("state"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("a part");
    for _ in 0..800 {
        mkdirat(&at, "d".repeat(255), Mode::RWXU).expect("a directory");
        at = openat(&at, "d".repeat(255), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("the directory");
    }
    let huge = fs::File::create(place.at("mem/working/huge")).expect("a file");
    huge.set_len(1 << 43).expect("a hole");
    fs::write(place.at("mem/working/task"), "now").expect("a file");
    let mut archive = Vec::new();
    write(&place.tree(), Part::ALL.to_vec(), &mut archive).expect("exported");
    assert!(archive.len() < 2 << 20, "{} bytes", archive.len());
    assert!(archive.windows(16).any(|bytes| bytes == b"mem/working/task"));
    let deep = Command::new("rm").arg("-rf").arg(place.root()).status().expect("rm(1)");
    assert!(deep.success());
}

#[test]
fn working_is_exported_when_asked_and_never_imported() {
    let place = Place::new();
    fs::write(place.at("mem/working/task"), "now").expect("a file");
    let mut archive = Vec::new();
    write(&place.tree(), Part::ALL.to_vec(), &mut archive).expect("exported");
    assert!(archive.windows(16).any(|bytes| bytes == b"mem/working/task"));
    assert!(!place.export().windows(16).any(|bytes| bytes == b"mem/working/task"));
    let copy = Place::new();
    let left_out = copy.import(&archive).expect("imported").left_out;
    assert_eq!(left_out, 2, "the directory and the file");
    assert!(copy.names().is_empty());
}

#[test]
fn a_merge_keeps_what_the_archive_does_not_have() {
    let (old, new) = (Place::new(), Place::new());
    for (place, content) in [(&old, "old"), (&new, "new")] {
        fs::create_dir(place.at("state/both")).expect("a directory");
        fs::write(place.at("state/both/same"), content).expect("a file");
        fs::write(place.at(format!("state/both/{content}")), content).expect("a file");
        set_time(&place.at("state/both"), if content == "old" { 1 } else { 2 }, 0);
    }
    fs::hard_link(old.at("state/both/same"), old.at("state/link")).expect("a link");
    let merged = Place::new();
    let imported = read(new.export().as_slice(), &merged.tree(), Some(&old.tree())).expect("merged");
    assert_eq!(imported, Imported { entries: 3, bytes: 6, kept: 2, left_out: 0 });
    assert_eq!(merged.names(), ["state/both", "state/both/new", "state/both/old", "state/both/same", "state/link"]);
    let content = |path: &str| fs::read_to_string(merged.at(path)).expect("a file");
    assert_eq!((content("state/both/same"), content("state/link")), ("new".to_owned(), "old".to_owned()));
    assert_eq!(fs::metadata(merged.at("state/both")).expect("a directory").mtime(), 2);

    fs::remove_file(old.at("state/link")).expect("removed");
    fs::create_dir(old.at("state/link")).expect("a directory");
    fs::write(new.at("state/link"), "").expect("a file");
    let refused = read(new.export().as_slice(), &Place::new().tree(), Some(&old.tree())).expect_err("refused");
    assert!(sentence(&refused).contains("state/link is a directory here"), "{}", sentence(&refused));
}

/// A tree by chance: each step makes something at a path of few names, or fails to.
fn grow(place: &Place, steps: &[(u8, Vec<u8>, u32, i64)]) {
    for (kind, names, mode, time) in steps {
        let mut path = place.at(["mem/semantic", "state"][usize::from(names[0] % 2)]);
        path.extend(names.iter().map(|name| ["a", "a-", "b", "\u{e9}"][usize::from(name % 4)]));
        let made = match kind {
            0 => fs::create_dir(&path),
            1 => symlink("nowhere/a", &path),
            2 => fs::hard_link(place.at("state/a"), &path),
            _ => fs::write(&path, vec![*kind; usize::from(*kind) * 40]),
        };
        if made.is_ok() {
            if !path.is_symlink() {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o600)).expect("chmod");
            }
            set_time(&path, *time, time.rem_euclid(1_000_000_000));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_tree_imports_bit_for_bit(
        steps in proptest::collection::vec(
            (0..20_u8, proptest::collection::vec(any::<u8>(), 1..4), 0..=0o7777_u32, any::<i32>().prop_map(i64::from)),
            0..40,
        ),
    ) {
        let place = Place::new();
        grow(&place, &steps);
        let archive = place.export();
        let copy = imported(&archive);
        prop_assert!(copy.export() == archive);
        prop_assert_eq!(copy.names(), place.names());
    }
}

#[test]
fn the_flags_of_a_path_are_not_those_of_a_link() {
    let place = Place::new();
    symlink("/etc", place.at("state/link")).expect("a link");
    let path = super::super::path::TreePath::relative(b"state/link/passwd").expect("a path");
    assert!(place.tree().stat(&path).is_err(), "through a link");
    assert!(
        rustix::fs::statat(rustix::fs::CWD, place.at("state/link/passwd"), AtFlags::empty()).is_ok(),
        "the control"
    );
}
