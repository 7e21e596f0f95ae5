//! Export and import between plain directories; an archive meets no daemon.

use super::export::write;
use super::import::{ImportError, Imported, read};
use super::tree::Tree;
use protocol::memory::Part;
use rustix::fs::{Mode, OFlags, Timestamps, XattrFlags};
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

mod hostile;
mod round_trip;

/// A directory with the parts in it, and room beside it.
pub(super) struct Place {
    place: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        for part in Part::ALL {
            fs::create_dir_all(place.path().join("tree").join(part.path())).expect("a part");
        }
        Self { place }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.place.path().join("tree")
    }

    pub(super) fn beside(&self) -> &Path {
        self.place.path()
    }

    pub(super) fn at(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.root().join(path.as_ref())
    }

    pub(super) fn tree(&self) -> Tree {
        Tree::new(fs::File::open(self.root()).expect("the root").into())
    }

    pub(super) fn export(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        write(&self.tree(), Part::LASTING.to_vec(), &mut archive)
            .unwrap_or_else(|error| panic!("{}", sentence(&error)));
        archive
    }

    pub(super) fn import(&self, archive: &[u8]) -> Result<Imported, ImportError> {
        read(archive, &self.tree(), None)
    }

    /// Every name beneath the parts with its type's letter, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut directories = vec![self.root()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                let shown = path.strip_prefix(self.root()).expect("beneath").display().to_string();
                if path.symlink_metadata().expect("what it is").is_dir() {
                    directories.push(path);
                }
                names.push(shown);
            }
        }
        names.retain(|name| Part::ALL.iter().all(|part| part.path() != name) && name != "mem");
        names.sort();
        names
    }
}

pub(super) fn imported(archive: &[u8]) -> Place {
    let place = Place::new();
    place.import(archive).unwrap_or_else(|error| panic!("{}", sentence(&error)));
    place
}

pub(super) fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence = format!("{sentence}: {error}");
        cause = error.source();
    }
    sentence
}

/// A name of any bytes.
pub(super) fn bytes(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

pub(super) fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).expect("times are set");
}

pub(super) fn set_attribute(path: &Path, name: &[u8], value: &[u8]) {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("it opens");
    rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()).expect("an attribute is set");
}

/// A tree with everything that an archive can hold.
pub(super) fn everything() -> Place {
    let place = Place::new();
    let make = |path: &OsStr, content: &[u8]| fs::write(place.at(path), content).expect("a file");
    make(OsStr::new("mem/episodic/log"), b"first\nsecond\n");
    make(bytes(b"mem/semantic/\xff\n\x1b"), b"any bytes in a name");
    make(bytes(&[b"mem/semantic/".as_slice(), &[b'n'; 255]].concat()), &[7; 1000]);
    make(bytes(&[b"state/".as_slice(), &[0xfe; 255]].concat()), b"");
    fs::create_dir_all(place.at("mem/procedural/a/b/c")).expect("directories");
    make(OsStr::new("mem/procedural/a/b/run"), b"#!/bin/sh\n");
    fs::set_permissions(place.at("mem/procedural/a/b/run"), fs::Permissions::from_mode(0o4751)).expect("chmod");
    fs::hard_link(place.at("mem/episodic/log"), place.at("mem/episodic/again")).expect("a link");
    symlink("/etc/passwd", place.at("mem/semantic/out")).expect("a symbolic link");
    symlink("l".repeat(3000), place.at("mem/semantic/long")).expect("a symbolic link");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.at("state/fifo"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o604),
        0,
    )
    .expect("a FIFO");
    set_attribute(&place.at("mem/episodic/log"), b"user.a=b%", b"a\0b\n");
    set_attribute(&place.at("mem/procedural/a"), b"user.empty", b"");
    set_time(&place.at("mem/semantic/out"), -5, 123_456_789);
    set_time(&place.at("mem/episodic/log"), 1_700_000_000, 987_654_321);
    set_time(&place.at("mem/procedural/a/b"), 10_000_000_000, 1);
    set_time(&place.at("mem/procedural/a"), 0, 0);
    fs::set_permissions(place.at("mem/procedural/a/b"), fs::Permissions::from_mode(0o500)).expect("chmod");
    let hole = fs::File::create(place.at("state/hole")).expect("a file");
    hole.set_len(1 << 20).expect("a hole");
    set_time(&place.at("state"), 1, 2);
    assert_eq!(fs::metadata(place.at("mem/episodic/log")).expect("a file").nlink(), 2);
    place
}
