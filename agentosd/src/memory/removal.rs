//! Removes what an agent has made, however deep: with few descriptors, and not recursively.
//!
//! Directories are taken out of their directories before they are emptied, so that none is deeper than one below the
//! root of what is removed.

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::{Errno, Result};
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// What directories that were taken out are called.
const TAKEN_OUT: &str = ".going-";
/// How often it is begun anew, when somebody still writes there.
const ATTEMPTS: usize = 3;

/// Removes a directory, with everything in it. Links are removed, not followed.
pub(super) fn remove_all(path: &Path) -> Result<()> {
    let mut attempts = 1..;
    loop {
        match empty(path).and_then(|()| unlinkat(CWD, path, AtFlags::REMOVEDIR)) {
            Err(Errno::NOTEMPTY) if attempts.next().is_some_and(|attempt| attempt < ATTEMPTS) => {}
            other => return other,
        }
    }
}

fn empty(path: &Path) -> Result<()> {
    let root = openat(CWD, path, DIRECTORY, Mode::empty())?;
    let mut taken_out = 0_u64;
    loop {
        let directories = remove_files(&root)?;
        if directories.is_empty() {
            return Ok(());
        }
        for name in directories {
            let directory = openat(&root, &name, DIRECTORY, Mode::empty())?;
            for below in remove_files(&directory)? {
                take_out((&directory, &below), &root, &mut taken_out)?;
            }
            unlinkat(&root, &name, AtFlags::REMOVEDIR)?;
        }
    }
}

/// Gives a directory a name in the root that nothing there has; an earlier attempt may have left some.
fn take_out((directory, name): (&OwnedFd, &CString), root: &OwnedFd, count: &mut u64) -> Result<()> {
    loop {
        *count += 1;
        match renameat_with(directory, name, root, format!("{TAKEN_OUT}{count}"), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
}

/// Removes all names but those of directories, which it gives.
fn remove_files(directory: &OwnedFd) -> Result<Vec<CString>> {
    let mut directories = Vec::new();
    let again = openat(directory, ".", DIRECTORY, Mode::empty())?;
    let mut buffer = vec![MaybeUninit::uninit(); 32 << 10];
    let mut entries = RawDir::new(&again, &mut buffer);
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_owned();
        if matches!(name.as_bytes(), b"." | b"..") {
            continue;
        }
        // Not by the type that the entry tells, which a file system may not know.
        match unlinkat(directory, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => directories.push(name),
            Err(error) => return Err(error),
        }
    }
    Ok(directories)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{mkdirat, symlinkat};
    use std::fs;

    #[test]
    fn nothing_is_too_deep_and_no_link_is_followed() {
        let base = tempfile::tempdir().unwrap();
        let (outside, root) = (base.path().join("outside"), base.path().join("root"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        fs::create_dir(&root).unwrap();
        let mut at = openat(CWD, &root, DIRECTORY, Mode::empty()).unwrap();
        for level in 0..3000 {
            for name in ["down", "aside"] {
                mkdirat(&at, name, Mode::RWXU).unwrap();
            }
            symlinkat(&outside, &at, format!("link{level}")).unwrap();
            at = openat(&at, "down", DIRECTORY, Mode::empty()).unwrap();
        }
        drop(at);
        remove_all(&root).unwrap();
        assert!(!root.exists());
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "kept");
        assert_eq!(remove_all(&root), Err(Errno::NOENT));
        assert_eq!(remove_all(&outside.join("file")), Err(Errno::NOTDIR));
    }
}
