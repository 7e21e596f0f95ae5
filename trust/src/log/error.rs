//! What can fail on disk, and what that means.

use super::directory::LOCKED;
use crate::format::Finding;
use crate::note::KeyError;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A call on a file or directory has failed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", path.display())]
pub struct FileError {
    /// What was attempted: `write`, `sync`, …
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// How a change of the log has failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is as if nothing had been attempted.
    Undone(FileError),
    /// Somebody else has changed the file.
    Changed(FileError),
    /// Nobody knows what is on disk: after a failed fsync(2) the kernel takes the pages for written, and a second fsync
    /// succeeds without writing them.
    Unknown(FileError),
}

/// Why a record was not sealed. In each case it must be taken as not recorded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// It could not be written, for example because the disk is full. The log is as before and takes the next record.
    #[error("write an audit record")]
    Write(#[source] Arc<FileError>),
    /// A write to disk failed in a way after which nothing that was not sealed before can be believed. The log takes no
    /// record until it is opened anew.
    #[error("write an audit record: the log takes none since an earlier write was lost; restart agentosd to check it")]
    Poisoned(#[source] Arc<FileError>),
    /// The log's file is not as it was left: it was cut, written to, or removed. The log takes no record any more.
    #[error("write an audit record: the log was changed by somebody else")]
    Changed(#[source] Arc<FileError>),
    /// More records wait than the log holds in memory.
    #[error("write an audit record: {waiting} others wait for the disk")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The log's thread has ended.
    #[error("write an audit record: the log is closed")]
    Closed,
}

impl AppendError {
    /// Whether room on the disk, or in a quota, is all that is missing.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let full = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, Self::Write(error) if full(error.source.kind()))
    }
}

impl OpenError {
    /// Whether the log itself is wrong, and not the host that it is on.
    #[must_use]
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::KeyMissing { .. } | Self::Damaged { .. } | Self::Tail { .. } => true,
            Self::Gap { .. } | Self::Unsigned { .. } => true,
            Self::File(_) | Self::Locked { .. } | Self::Key { .. } | Self::Thread(_) => false,
        }
    }
}

/// Why a log cannot be opened for writing.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A call has failed.
    #[error("open the audit log")]
    File(#[from] FileError),
    /// Two writers would destroy it.
    #[error("open the audit log in {}: {LOCKED}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The key's file is damaged.
    #[error("read the signing key {}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// There are records or checkpoints, and no key: a new one would sign for what it has not seen.
    #[error("open the audit log: it has records, but {} is missing; restore it, or move the log away", path.display())]
    KeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// The log is not as it was written. It is not written on, and not repaired.
    #[error("open the audit log in {}: it was damaged or changed; keep it as evidence: move it away", path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// Where and how.
        #[source]
        finding: Finding,
    },
    /// More is wrong at its end than a crash can leave.
    #[error(
        "open the audit log: {bytes} bytes at the end of {} are no records, more than a crash can leave; keep it as \
         evidence: move the log away", path.display()
    )]
    Tail {
        /// The last segment.
        path: PathBuf,
        /// How many.
        bytes: u64,
        /// The first that is wrong.
        #[source]
        finding: Option<Finding>,
    },
    /// The oldest segment is missing, or the one before an empty one.
    #[error(
        "open the audit log: the segment that ends before record {first} is missing; keep it as evidence: move it away"
    )]
    Gap {
        /// The record that is there.
        first: u64,
    },
    /// Segments are closed only after a checkpoint.
    #[error(
        "open the audit log: the checkpoint of the {first} records before the last segment is missing, the latest is of \
         {size}; keep it as evidence: move the log away"
    )]
    Unsigned {
        /// Records before the last segment.
        first: u64,
        /// Of the latest checkpoint.
        size: u64,
    },
    /// The thread could not be started.
    #[error("start the audit log's thread")]
    Thread(#[source] io::Error),
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A call has failed.
    #[error("read the audit log")]
    File(#[from] FileError),
    /// A line is not as it was written.
    #[error("read the audit log")]
    Damaged(#[source] Finding),
    /// The record was removed by retention.
    #[error("read record {seq}: the oldest that is kept is {oldest}")]
    Retired {
        /// The one that was asked for.
        seq: u64,
        /// The first that is there.
        oldest: u64,
    },
    /// There are no records.
    #[error("read the audit log: there is none in {}", path.display())]
    None {
        /// The directory.
        path: PathBuf,
    },
}
