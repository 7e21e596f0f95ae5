//! `.agents/security.md` in the workspace: what the agent's own directory takes away from it. Read once, at the launch.

use crate::caller::Caller;
use crate::journal;
use policies::{MAX_POLICY_BYTES, Narrowing, RegisteredAction};
use protocol::error::ControlError;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Where it is.
const PLACE: &str = ".agents/security.md";

/// The file, as it is and as it was understood.
#[derive(Clone, Debug)]
pub(crate) struct OwnFile {
    /// Its text.
    pub(crate) text: String,
    /// What it takes away.
    pub(crate) narrowing: Narrowing,
}

/// Reads it, if there is one. One that cannot be read, or says what it may not, stops the start: it was meant to take
/// something away.
pub(crate) fn read(
    workspace: &Path,
    actions: &[RegisteredAction],
    caller: &Caller,
) -> Result<Option<OwnFile>, ControlError> {
    let bad = |message: String| ControlError::BadPolicy { message };
    let shown = workspace.join(PLACE);
    let bytes = match bytes(workspace, caller) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(error) => return Err(bad(format!("cannot read {}: {error}", shown.display()))),
    };
    let narrowing = Narrowing::read(&shown.display().to_string(), &bytes, actions);
    let narrowing = narrowing.map_err(|error| bad(journal::sentence(&error)))?;
    Ok(Some(OwnFile { text: String::from_utf8_lossy(&bytes).into_owned(), narrowing }))
}

/// No link is followed and no mount entered: agents and others write in that directory, and we are root. What the caller
/// could not read itself is not read for it.
fn bytes(workspace: &Path, caller: &Caller) -> io::Result<Option<Vec<u8>>> {
    let look = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat2(CWD, workspace, look, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let file = match openat2(&directory, PLACE, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), within) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        found => found?,
    };
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is not a regular file"));
    }
    if !may_read(caller, &stat) {
        return Err(Errno::ACCESS.into());
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat2(&directory, PLACE, flags, Mode::empty(), within)?;
    let again = fstat(&file)?;
    if (again.st_dev, again.st_ino) != (stat.st_dev, stat.st_ino) {
        return Err(io::Error::other("it is being replaced; try again"));
    }
    let mut bytes = Vec::new();
    let bound = u64::try_from(MAX_POLICY_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::from(file).take(bound).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// By the file's mode (`path_resolution(7)`).
fn may_read(caller: &Caller, stat: &Stat) -> bool {
    let bit = if caller.is_root() {
        return true;
    } else if stat.st_uid == caller.uid {
        0o400
    } else if stat.st_gid == caller.gid || caller.groups.contains(&stat.st_gid) {
        0o040
    } else {
        0o004
    };
    stat.st_mode & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const TEXT: &str = "policies: [{action: file_write, requires_approval: true}]\n";

    fn caller(uid: u32) -> Caller {
        Caller { uid, gid: uid, groups: Vec::new(), pid: 1 }
    }

    #[test]
    fn the_file_is_read_and_nothing_that_a_link_leads_to() {
        let place = tempfile::tempdir().unwrap();
        let read = |who| read(place.path(), &[], &caller(who)).map(|file| file.map(|file| file.text));
        assert_eq!(read(0).unwrap(), None);
        std::fs::create_dir(place.path().join(".agents")).unwrap();
        let file = place.path().join(PLACE);
        std::fs::write(&file, TEXT).unwrap();
        assert_eq!(read(0).unwrap().as_deref(), Some(TEXT));
        std::fs::write(&file, "filesystem: []\n").unwrap();
        assert!(matches!(read(0), Err(ControlError::BadPolicy { .. })), "it may not grant");
        std::fs::remove_file(&file).unwrap();
        let secret = place.path().join("secret");
        std::fs::write(&secret, TEXT).unwrap();
        symlink(&secret, &file).unwrap();
        assert!(read(0).is_err());
        std::fs::remove_file(&file).unwrap();
        rustix::fs::mknodat(CWD, &file, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(read(0).is_err(), "a FIFO would keep us waiting");
    }

    #[test]
    fn nobody_has_read_for_it_what_it_may_not_read() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join(".agents")).unwrap();
        let file = place.path().join(PLACE);
        std::fs::write(&file, TEXT).unwrap();
        let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&file, mode(0o600)).unwrap();
        let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&file).unwrap());
        assert!(read(place.path(), &[], &caller(own)).unwrap().is_some(), "the control");
        assert!(read(place.path(), &[], &caller(own + 1234)).is_err());
        std::fs::set_permissions(&file, mode(0o644)).unwrap();
        assert!(read(place.path(), &[], &caller(own + 1234)).unwrap().is_some());
    }
}
