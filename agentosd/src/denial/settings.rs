//! The host's audit settings: changed by the first daemon that needs them, put back by the last.
//!
//! ```text
//!   /run/agentos-audit/                the directory's lock is held while settings are looked at and changed
//!   /run/agentos-audit/settings.json   what was found and what was written; every user holds a shared lock on it
//! ```
//! A daemon that was killed leaves the file without a lock; the next one takes what was found from it, so that the
//! first state of this boot comes back in the end. A value that somebody else has changed in between stays.

use super::Unavailable;
use super::netlink::{Change, Session, Status};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Records that may wait in the kernel. With the default of 64 over half of a burst is lost; with this, none of 20001.
const BACKLOG_LIMIT: u32 = 16384;
/// Nobody waits for room in the kernel's queue: an agent that fills it would else hold up the refused calls of other
/// agents by up to 0.7 seconds, and logins on the host. What finds no room is lost, and counted.
const BACKLOG_WAIT_TIME: u32 = 0;

/// How to open the log.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Shared by all daemons of a host, whatever their run-time directories are.
    pub shared_dir: PathBuf,
    /// Bytes of the socket's receive buffer; the kernel doubles the number for its own bookkeeping.
    pub receive_buffer: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { shared_dir: PathBuf::from("/run/agentos-audit"), receive_buffer: 8 << 20 }
    }
}

/// A setting of the host could not be put back.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot put the kernel's audit settings back ({attempt}); to do it by hand: auditctl -e 0 -b 64 --backlog_wait_time 15000"
)]
pub struct RestoreError {
    attempt: String,
    source: io::Error,
}

impl RestoreError {
    pub(super) fn interrupted(error: &tokio::task::JoinError) -> Self {
        Self { attempt: "interrupted".to_owned(), source: io::Error::other(error.to_string()) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Values {
    enabled: u32,
    backlog_limit: u32,
    backlog_wait_time: u32,
}

impl From<Status> for Values {
    fn from(status: Status) -> Self {
        let Status { enabled, backlog_limit, backlog_wait_time, .. } = status;
        Self { enabled, backlog_limit, backlog_wait_time }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    /// Settings end with the boot.
    boot: String,
    found: Values,
    written: Values,
}

/// The right to use the settings, as long as it lives.
#[derive(Debug)]
pub(super) struct Claim {
    dir: PathBuf,
    file: File,
}

/// What to write, decided from what is there.
fn decide(status: Status) -> Result<Values, Unavailable> {
    let found = Values::from(status);
    let refuse = |why: &str| Err(Unavailable(why.to_owned()));
    match status.enabled {
        0 if status.failure == 2 => refuse(
            "the kernel panics when an audit record is lost (failure mode 2), which an agent could bring about; choose another mode: auditctl -f 1",
        ),
        0 if status.auditd != 0 => {
            refuse("an audit daemon runs and has switched the kernel's audit off; switch it on: auditctl -e 1")
        }
        // Somebody else's, or locked until the next boot.
        _ if status.auditd != 0 || status.enabled == 2 => Ok(found),
        _ => Ok(Values {
            enabled: 1,
            backlog_limit: found.backlog_limit.max(BACKLOG_LIMIT),
            backlog_wait_time: BACKLOG_WAIT_TIME,
        }),
    }
}

/// Which values to write back: those that are still as we wrote them.
fn give_back(now: Status, record: &Written) -> Change {
    if now.auditd != 0 || now.enabled == 2 {
        return Change::default();
    }
    let (found, written) = (record.found, record.written);
    let value = |now, written, found| (now == written && written != found).then_some(found);
    Change {
        enabled: value(now.enabled, written.enabled, found.enabled),
        backlog_limit: value(now.backlog_limit, written.backlog_limit, found.backlog_limit),
        backlog_wait_time: value(now.backlog_wait_time, written.backlog_wait_time, found.backlog_wait_time),
    }
}

impl Claim {
    /// Writes the settings that are needed, and remembers what was there.
    pub(super) fn take(dir: &Path, session: &mut Session) -> Result<Self, Unavailable> {
        let fail = |error| Unavailable(format!("cannot keep the host's audit settings in {}: {error}", dir.display()));
        let guard = lock_directory(dir).map_err(fail)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(dir.join("settings.json")).map_err(fail)?;
        let claim = Self { dir: dir.to_owned(), file };
        let written = claim
            .write(session)
            .and_then(|()| flock(&claim.file, FlockOperation::LockShared).map_err(|error| fail(error.into())));
        drop(guard);
        match written {
            Ok(()) => Ok(claim),
            Err(unavailable) => Err(claim.abandon(unavailable)),
        }
    }

    /// Under the directory's lock.
    fn write(&self, session: &mut Session) -> Result<(), Unavailable> {
        let fail = |error| Unavailable(format!("cannot note the host's audit settings: {error}"));
        let status = session.status().map_err(|error| Unavailable(refused(&error)))?;
        let wanted = decide(status)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(fail)?.trim().to_owned();
        let before = load(&self.file).map_err(fail)?.filter(|record| record.boot == boot);
        let found = before.map_or(Values::from(status), |record| record.found);
        // Noted before it takes effect, so that a crash in between loses nothing.
        store(&self.file, &Written { boot, found, written: wanted }).map_err(fail)?;
        if wanted == Values::from(status) {
            return Ok(());
        }
        let change = Change {
            enabled: Some(wanted.enabled),
            backlog_limit: Some(wanted.backlog_limit),
            backlog_wait_time: Some(wanted.backlog_wait_time),
        };
        session.set(change).map_err(|error| Unavailable(refused(&error)))
    }

    /// Gives up: puts back what was written, and adds to the reason if that fails too.
    pub(super) fn abandon(&self, Unavailable(why): Unavailable) -> Unavailable {
        match self.release() {
            Ok(()) => Unavailable(why),
            Err(error) => Unavailable(format!("{why}; also, {error}")),
        }
    }

    /// Puts the settings back if this was the last user.
    pub(super) fn release(&self) -> Result<(), RestoreError> {
        let fail = |attempt: &str| {
            let attempt = attempt.to_owned();
            move |source| RestoreError { attempt, source }
        };
        let guard = lock_directory(&self.dir).map_err(fail("lock the shared directory"))?;
        if flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(());
        }
        if let Some(record) = load(&self.file).map_err(fail("read what was there"))? {
            let mut session = Session::open().map_err(fail("open the audit socket"))?;
            let now = session.status().map_err(fail("read the settings"))?;
            let change = give_back(now, &record);
            if change != Change::default() {
                session.set(change).map_err(fail("write the settings"))?;
            }
        }
        fs::remove_file(self.dir.join("settings.json")).map_err(fail("remove settings.json"))?;
        fs::remove_dir(&self.dir).map_err(fail("remove the shared directory"))?;
        drop(guard);
        Ok(())
    }
}

/// Makes and locks the directory. Whoever was before us may have removed it while we waited; then there is a new one.
fn lock_directory(dir: &Path) -> io::Result<File> {
    loop {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let file = match File::open(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        flock(&file, FlockOperation::LockExclusive)?;
        match fs::metadata(dir) {
            Ok(now) if now.ino() == file.metadata()?.ino() => return Ok(file),
            _ => {}
        }
    }
}

/// A file that is empty or was torn by a crash says nothing.
fn load(mut file: &File) -> io::Result<Option<Written>> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text).ok())
}

fn store(mut file: &File, record: &Written) -> io::Result<()> {
    let text = serde_json::to_string(record)?;
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

/// Why the kernel does not let us, from the error number; see audit_netlink_ok() in kernel/audit.c.
pub(super) fn refused(error: &io::Error) -> String {
    match error.raw_os_error() {
        // EPROTONOSUPPORT
        Some(93) => "the kernel has no audit (CONFIG_AUDIT); use a kernel that has it".to_owned(),
        // ECONNREFUSED
        Some(111) => "the kernel's audit does not answer: it is off for this boot (audit=0 on the kernel command line) or the daemon is in a user namespace of a container; remove audit=0, or run agentosd on the host".to_owned(),
        // EPERM
        Some(1) => "the kernel's audit refuses this process: it lacks CAP_AUDIT_CONTROL, CAP_AUDIT_READ or CAP_AUDIT_WRITE, or is in the PID namespace of a container; run agentosd as root on the host with these capabilities".to_owned(),
        _ => format!("the kernel's audit socket cannot be used: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: Status =
        Status { enabled: 0, failure: 1, auditd: 0, backlog_limit: 64, backlog_wait_time: 15_000, lost: 0 };

    fn written(found: Status, written: Values) -> Written {
        Written { boot: String::new(), found: found.into(), written }
    }

    #[test]
    fn audit_is_switched_on_its_queue_only_made_longer_and_nobody_waits() {
        let wanted = Values { enabled: 1, backlog_limit: BACKLOG_LIMIT, backlog_wait_time: 0 };
        assert_eq!(decide(OFF).unwrap(), wanted);
        let longer = Status { backlog_limit: 100_000, ..OFF };
        assert_eq!(decide(longer).unwrap(), Values { backlog_limit: 100_000, ..wanted });
    }

    #[test]
    fn what_belongs_to_somebody_else_is_left_alone() {
        for theirs in [Status { enabled: 1, auditd: 77, ..OFF }, Status { enabled: 2, ..OFF }] {
            assert_eq!(decide(theirs).unwrap(), Values::from(theirs));
        }
        assert!(decide(Status { auditd: 77, ..OFF }).unwrap_err().to_string().contains("auditctl -e 1"));
    }

    #[test]
    fn a_kernel_that_panics_on_a_lost_record_is_not_armed() {
        assert!(decide(Status { failure: 2, ..OFF }).unwrap_err().to_string().contains("auditctl -f 1"));
    }

    #[test]
    fn only_what_is_still_ours_is_put_back() {
        let change = |enabled, backlog_limit, backlog_wait_time| Change { enabled, backlog_limit, backlog_wait_time };
        let record = written(OFF, decide(OFF).unwrap());
        let now = Status { enabled: 1, backlog_limit: BACKLOG_LIMIT, backlog_wait_time: 0, ..OFF };
        assert_eq!(give_back(now, &record), change(Some(0), Some(64), Some(15_000)));
        assert_eq!(give_back(Status { backlog_limit: 9000, ..now }, &record), change(Some(0), None, Some(15_000)));
        assert_eq!(give_back(Status { auditd: 77, ..now }, &record), Change::default());
        assert_eq!(give_back(Status { enabled: 2, ..now }, &record), Change::default());
        let found_on = Status { enabled: 1, ..OFF };
        let record = written(found_on, decide(found_on).unwrap());
        assert_eq!(give_back(now, &record), change(None, Some(64), Some(15_000)));
    }
}
