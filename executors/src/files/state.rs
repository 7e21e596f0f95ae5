//! What stands at a name now, as a digest that an approval is bound to.

use super::beneath::Named;
use crate::descriptors::{bytes, hex, identity, reopen};
use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use protocol::executor::MAX_CONTENT;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// The state of a name at which there is nothing.
const ABSENT: &str = "absent";

/// A regular file or a link, seen once.
#[derive(Debug)]
pub(super) struct Present {
    /// It, as a mere path.
    pub(super) file: OwnedFd,
    pub(super) status: Stat,
    pub(super) link: bool,
    /// What is in it, unless it is large or may not be read.
    pub(super) content: Option<Vec<u8>>,
    state: String,
}

/// What stands at the name, if anything does.
pub(super) fn look(named: &Named) -> Outcome<Option<Present>> {
    let failed = |errno| Refusal::errno(errno, &format!("look at {}", named.shown()));
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match openat(&named.directory, &named.name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failed(errno)),
    };
    let status = fstat(&file).map_err(failed)?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::Symlink => {
            let target = readlinkat(&file, "", Vec::new()).map_err(failed)?;
            let state = format!("link:{}", hex(target.as_bytes()));
            Ok(Some(Present { file, status, link: true, content: Some(target.into_bytes()), state }))
        }
        FileType::RegularFile => {
            let content = content(&file, &status).map_err(failed)?;
            let state = content.as_deref().map_or_else(|| format!("file:{}", hex(identity(&status).as_bytes())), hex);
            Ok(Some(Present { file, status, link: false, content, state }))
        }
        _ => Err(Refusal::new(RefusalReason::WrongType, format!("{} is no regular file", named.shown()))),
    }
}

/// The state of what was seen.
pub(super) fn of(present: Option<&Present>) -> &str {
    present.map_or(ABSENT, |present| &present.state)
}

/// What stands at the name; refuses when that is not what was approved.
pub(super) fn confirm(named: &Named, approved: Option<&str>) -> Outcome<Option<Present>> {
    let present = look(named)?;
    if approved.is_none_or(|approved| of(present.as_ref()) == approved) {
        return Ok(present);
    }
    let message = format!("{} has changed since the approval was asked for", named.shown());
    Err(Refusal::new(RefusalReason::ApprovalActionMismatch, message))
}

fn content(file: &OwnedFd, status: &Stat) -> Result<Option<Vec<u8>>, Errno> {
    if u64::try_from(status.st_size).unwrap_or(0) > MAX_CONTENT {
        return Ok(None);
    }
    match reopen(file, OFlags::RDONLY) {
        Ok(readable) => bytes(readable, 0, usize::try_from(MAX_CONTENT).unwrap_or(usize::MAX)).map(Some),
        Err(Errno::ACCESS | Errno::PERM) => Ok(None),
        Err(errno) => Err(errno),
    }
}
