//! The version of the state directory, and what is done with a file in it that cannot be read.

use super::{StoreError, fail, replace};
use crate::journal;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What this daemon writes. It reads this one and every one before.
const VERSION: u32 = 1;
/// Where it stands.
const FILE: &str = "version";
/// Most files of one name that are set aside before the oldest is overwritten.
const MOST_ASIDE: u32 = 100;

/// Reads and writes the version of the directory. A daemon leaves the state of a newer one alone.
pub(super) fn check(root: &Path) -> Result<(), StoreError> {
    let path = root.join(FILE);
    let found = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse::<u32>().map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => "".parse().map(Some),
        Err(error) => return Err(fail("read", &path)(error)),
    };
    match found {
        Ok(Some(VERSION)) => return Ok(()),
        Ok(Some(version)) if version > VERSION => {
            let why = format!(
                "{} was written by a newer agentosd (version {version} of the state, and this one knows {VERSION}); start that one, or give this one a --state-dir of its own",
                root.display()
            );
            return Err(fail("use", root)(io::Error::other(why)));
        }
        Ok(_) => {}
        Err(_) => set_aside(&path, "it holds no version")?,
    }
    replace(&path, format!("{VERSION}\n").as_bytes()).map_err(fail("write", &path))
}

/// Moves a file that cannot be read out of the way, and says so: nothing is lost, and nothing stops the start.
pub(crate) fn set_aside(path: &Path, why: &str) -> Result<(), StoreError> {
    let mut numbered = (1..MOST_ASIDE).map(|number| named(path, number));
    let aside = numbered.find(|aside| !aside.exists()).unwrap_or_else(|| named(path, MOST_ASIDE));
    fs::rename(path, &aside).map_err(fail("set aside", path))?;
    journal::warning(format_args!("{} cannot be read: {why}; it is set aside as {}", path.display(), aside.display()));
    Ok(())
}

/// Whether it was.
pub(super) fn is_aside(path: &Path) -> bool {
    named(path, 1).exists()
}

fn named(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_daemons_state_is_left_alone_and_a_damaged_version_is_set_aside() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join(FILE);
        check(place.path()).unwrap();
        check(place.path()).unwrap();
        fs::write(&file, "2\n").unwrap();
        let error = check(place.path()).unwrap_err();
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(why.contains("a newer agentosd") && why.contains("version 2"), "{why}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "2\n", "it is not touched");
        for (number, damaged) in [(1, "x".as_bytes()), (2, b"\xff\xfe"), (3, b"")] {
            fs::write(&file, damaged).unwrap();
            check(place.path()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), "1\n");
            assert_eq!(fs::read(named(&file, number)).unwrap(), damaged);
        }
    }
}
