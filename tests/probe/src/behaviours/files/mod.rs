//! What may be done with files: ways of rewriting one, of getting a directory out of the way, and what POSIX promises.
//!
//! Each way is one line of the report, its name and how it ended: `done`, or the name of the errno.

pub(super) mod posix;
pub(super) mod rewrite;
pub(super) mod shadow;

use super::say;
use crate::outcome::errno_name;
use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

/// One way.
struct Way {
    name: &'static str,
    go: fn(&Place) -> io::Result<()>,
}

const fn way(name: &'static str, go: fn(&Place) -> io::Result<()>) -> Way {
    Way { name, go }
}

/// Where it is tried.
struct Place {
    directory: PathBuf,
    file: PathBuf,
}

/// What a file held before.
const REMEMBERED: &[u8] = b"remembered\nand again\n";
/// What would be there instead.
const FORGED: &[u8] = b"forged";

impl Place {
    fn beside(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}.{suffix}", self.file.display()))
    }

    fn open(&self, flags: i32) -> io::Result<OwnedFd> {
        let mode = flags & libc::O_ACCMODE;
        let mut options = fs::File::options();
        options.read(mode != libc::O_WRONLY).write(mode != libc::O_RDONLY).custom_flags(flags & !libc::O_ACCMODE);
        options.open(&self.file).map(OwnedFd::from)
    }

    fn path(&self) -> io::Result<CString> {
        c_path(&self.file)
    }
}

/// Tries all ways, each on a file of its own that holds [`REMEMBERED`].
fn each(directory: &Path, ways: &[Way], prepare: fn(&Place) -> io::Result<()>) -> io::Result<u8> {
    for way in ways {
        let place = Place { directory: directory.to_owned(), file: directory.join(way.name) };
        prepare(&place)?;
        let ended = match (way.go)(&place) {
            Ok(()) => "done".to_owned(),
            Err(error) => error.raw_os_error().map_or_else(|| format!("failed: {error}"), errno_name),
        };
        say(&format!("{} {ended}", way.name))?;
    }
    Ok(0)
}

fn remember(place: &Place) -> io::Result<()> {
    fs::write(&place.file, REMEMBERED)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// An answer that is no error of a call, but not the effect either.
fn no(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}
