//! Writing a regular file.
//!
//! ```text
//!   replace: a new file beside it ── written, flushed ── old one still as approved? ── renamed over it ── directory flushed
//!   create:  the name itself, which must be free
//!   append:  at the end of what is there; cut off again when not all of it could be written
//! ```
//! A replaced file is never written to, so its other names (hard links) and whoever reads it keep the old content.

use super::beneath::Named;
use super::state::Present;
use super::{preview, state};
use crate::descriptors::{reopen, shown};
use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, MAX_CONTENT, Prepared, WriteMode};
use rustix::fs::{
    Access, AtFlags, Mode, OFlags, accessat, fchmod, fstat, fsync, ftruncate, openat, renameat, unlinkat,
};
use rustix::io::{Errno, write};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;

/// Of a mode, what is kept: never set-user-id, set-group-id or sticky.
const PERMISSIONS: u32 = 0o777;
/// Of a file that is new; the umask takes away.
const NEW: u32 = 0o666;
/// Until it has those of the file that it replaces.
const PRIVATE: u32 = 0o600;

/// A name and what is to be written there.
#[derive(Debug)]
pub(crate) struct Writing {
    named: Named,
    content: Vec<u8>,
    mode: WriteMode,
    path: String,
}

impl Writing {
    pub(crate) fn prepare(root: &str, path: &str, content: Vec<u8>, mode: WriteMode) -> Outcome<(Prepared, Self)> {
        let named = Named::open(root, path)?;
        let present = state::look(&named)?;
        if let Some(present) = &present {
            suits(&named, present, mode)?;
        }
        let path = shown(named.path())?;
        let preview = match (mode, present.as_ref().and_then(|present| present.content.as_deref())) {
            (WriteMode::Append, Some(old)) => preview::change(&path, present.as_ref(), &[old, &content].concat()),
            _ => preview::change(&path, present.as_ref(), &content),
        };
        let prepared = Prepared {
            paths: vec![path.clone()],
            size: u64::try_from(content.len()).ok(),
            state: Some(state::of(present.as_ref()).to_owned()),
            preview: Some(preview),
            ..Prepared::default()
        };
        Ok((prepared, Self { named, content, mode, path }))
    }

    pub(crate) fn perform(self, bounds: &Bounds) -> Outcome<Value> {
        let bound = bounds.max_bytes.unwrap_or(MAX_CONTENT).min(MAX_CONTENT);
        if u64::try_from(self.content.len()).unwrap_or(u64::MAX) > bound {
            return Err(Refusal::too_large("the content", bound));
        }
        self.named.confirm()?;
        let present = state::confirm(&self.named, bounds.state.as_deref())?;
        if let Some(present) = &present {
            suits(&self.named, present, self.mode)?;
        }
        match (self.mode, present) {
            (WriteMode::Replace, present) => self.replace(present.as_ref(), bounds.state.as_deref()),
            (WriteMode::Append, Some(present)) => self.append(&present),
            (WriteMode::Append | WriteMode::Create, _) => self.create(),
        }?;
        // It is written whether or not the disk says so; that it is there after a crash is what cannot be promised then.
        let durable = fsync(&self.named.directory).is_ok();
        Ok(json!({"path": self.path, "size": self.content.len(), "durable": durable}))
    }

    fn replace(&self, present: Option<&Present>, approved: Option<&str>) -> Outcome<()> {
        let temporary = temporary()?;
        let temporary = OsStr::new(&temporary);
        let mode = present.map_or(NEW, |_| PRIVATE);
        let file = self.new_file(temporary, mode)?;
        let written = self.fill(&file, present).and_then(|()| {
            // As late as possible: from here on only the rename is left.
            self.named.confirm()?;
            state::confirm(&self.named, approved)?;
            let directory = &self.named.directory;
            renameat(directory, temporary, directory, &self.named.name).map_err(|errno| self.failed(errno))
        });
        written.map_err(|refusal| self.removed(temporary, refusal))
    }

    fn create(&self) -> Outcome<()> {
        let file = self.new_file(&self.named.name, NEW)?;
        self.fill(&file, None).map_err(|refusal| self.removed(&self.named.name, refusal))
    }

    fn append(&self, present: &Present) -> Outcome<()> {
        let failed = |errno| self.failed(errno);
        let file = reopen(&present.file, OFlags::WRONLY | OFlags::APPEND).map_err(failed)?;
        let length = u64::try_from(fstat(&file).map_err(failed)?.st_size).unwrap_or(0);
        let written = write_all(&file, &self.content).and_then(|()| fsync(&file)).map_err(failed);
        written.map_err(|refusal| match ftruncate(&file, length) {
            Ok(()) => refusal,
            // Where only appending is possible, nothing is taken back.
            Err(errno) => with(refusal, &format!("what was written of it could not be cut off again: {errno}")),
        })
    }

    fn new_file(&self, name: &OsStr, mode: u32) -> Outcome<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.named.directory, name, flags, Mode::from_raw_mode(mode)).map_err(|errno| self.failed(errno))
    }

    /// The whole content into a new file, down to the disk.
    fn fill(&self, file: &OwnedFd, before: Option<&Present>) -> Outcome<()> {
        let failed = |errno| self.failed(errno);
        write_all(file, &self.content).map_err(failed)?;
        if let Some(before) = before {
            fchmod(file, Mode::from_raw_mode(before.status.st_mode & PERMISSIONS)).map_err(failed)?;
        }
        fsync(file).map_err(failed)
    }

    /// A file that was made and is of no use goes.
    fn removed(&self, name: &OsStr, refusal: Refusal) -> Refusal {
        match unlinkat(&self.named.directory, name, AtFlags::empty()) {
            Ok(()) => refusal,
            Err(errno) => with(refusal, &format!("{name:?}, as far as it was written, could not be removed: {errno}")),
        }
    }

    fn failed(&self, errno: Errno) -> Refusal {
        Refusal::errno(errno, &format!("write {:?}", self.path))
    }
}

/// Whether what is there can be written in this way.
fn suits(named: &Named, present: &Present, mode: WriteMode) -> Outcome<()> {
    let refused = |reason, what: &str| Err(Refusal::new(reason, format!("{} {what}", named.shown())));
    match mode {
        _ if present.link => refused(RefusalReason::PathEscapes, "is a symbolic link, and writing follows none"),
        WriteMode::Create => refused(RefusalReason::HostRefused, "is there already"),
        // The other name may lie outside of the root.
        WriteMode::Append if present.status.st_nlink > 1 => {
            refused(RefusalReason::PathEscapes, "has other names (hard links), and appending would write to them")
        }
        // Renaming over it needs no permission on the file itself; whoever took that away meant it.
        WriteMode::Append | WriteMode::Replace => {
            let flags = AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW;
            accessat(&named.directory, &named.name, Access::WRITE_OK, flags)
                .map_err(|errno| Refusal::errno(errno, &format!("write {}", named.shown())))
        }
    }
}

/// A name that nobody has guessed.
fn temporary() -> Outcome<String> {
    let failed = |errno| Refusal::errno(errno, "choose a random name");
    let mut random = [0_u8; 16];
    // So few bytes come all at once or not at all.
    getrandom(&mut random, GetRandomFlags::empty()).map_err(failed)?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!(".agentos-{digits}.tmp"))
}

fn write_all(file: &OwnedFd, content: &[u8]) -> Result<(), Errno> {
    let mut rest = content;
    while !rest.is_empty() {
        match write(file, rest) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn with(refusal: Refusal, more: &str) -> Refusal {
    Refusal { message: format!("{}; {more}", refusal.message), ..refusal }
}
