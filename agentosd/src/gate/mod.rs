//! The one gate: what is asked becomes a verdict only by being sealed into the audit log.
//!
//! ```text
//!   door ── AccessRequest, Table ──► check ── decide (pure) ──► record ── fdatasync ──► Verdict
//!                                                                  └── cannot be written ──► Unsealed: the answer is no
//! ```
//! What has happened already (an end, a denial of the kernel's, what came of a signal) is noted: nobody waits for it, and
//! what cannot be noted is said in the daemon's own log.

mod records;
mod verdict;

use crate::approvals::Approved;
use crate::journal;
use policies::{AccessRequest, Table};
use protocol::audit::Record;
use protocol::error::ControlError;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use trust::format::BodyError;
use trust::log::{AppendError, Log, OpenError, Options, Recovery, Sealed, Status};

pub(crate) use records::{of_denial, of_event, subject, words};
pub(crate) use verdict::{About, Allowed, Budget, Permit, Refusal, Terms, Verdict};

/// How long a note waits for a place in the queue before it tries again.
const FULL: Duration = Duration::from_millis(2);

/// Why something is not in the audit log, so that it must not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsealed {
    /// The log does not take it.
    #[error("write the audit log")]
    Log(#[from] AppendError),
    /// It cannot be a record.
    #[error("write the audit record")]
    Body(#[from] BodyError),
    /// The log's thread has died.
    #[error("write the audit log: its thread has ended")]
    Gone,
}

impl Unsealed {
    /// As the caller reads it.
    pub(crate) fn refused(&self) -> ControlError {
        ControlError::NoAudit { message: journal::sentence(self) }
    }
}

/// The audit log, and the only way to a verdict.
#[derive(Debug)]
pub(crate) struct Gate {
    log: Log,
    directory: PathBuf,
    /// Tells this start's requests from those of others.
    start: u64,
    requests: AtomicU64,
    seen: Seen,
}

/// What the log's thread has told.
#[derive(Clone, Debug)]
struct Seen {
    /// Records that are sealed.
    grown: watch::Sender<u64>,
    /// Why the log cannot be believed any more.
    broken: watch::Sender<Option<String>>,
}

impl Seen {
    fn result(&self, result: &Result<Sealed, AppendError>) {
        match result {
            Ok(sealed) => self.grown.send_modify(|size| *size = (*size).max(sealed.seq() + 1)),
            // What comes after the first says no more.
            Err(error @ AppendError::Changed(_)) => {
                self.broken.send_modify(|broken| {
                    broken.get_or_insert_with(|| journal::sentence(error));
                });
            }
            Err(_) => {}
        }
    }
}

impl Gate {
    /// Opens the log in `directory`, or makes it.
    pub(crate) fn open(directory: &Path, options: Options) -> Result<(Self, Recovery), OpenError> {
        let (log, recovery) = Log::open(directory, options)?;
        let (start, requests) = (recovery.size, AtomicU64::new(1));
        let seen = Seen { grown: watch::Sender::new(recovery.size), broken: watch::Sender::new(None) };
        Ok((Self { log, directory: directory.to_owned(), start, requests, seen }, recovery))
    }

    /// A name for a request that no other request of this log has.
    pub(crate) fn request_id(&self) -> String {
        format!("r{}-{}", self.start, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Decides a request and has the decision sealed. `about` is what the record says besides.
    pub(crate) async fn check(
        &self,
        table: &Table,
        request: &AccessRequest,
        about: About,
    ) -> Result<Verdict, Unsealed> {
        let terms = Terms::of(table, request);
        let sealed = self.seal(&about.record(&terms)).await?;
        Ok(Verdict::sealed(terms, sealed))
    }

    /// The same for what a person has approved just now.
    pub(crate) async fn approved(
        &self,
        (allowed, approved): (Allowed, Approved),
        about: About,
    ) -> Result<Permit, Unsealed> {
        let about = About { approval: Some(approved.id().to_string()), ..about };
        let sealed = self.seal(&about.record(&Terms::Allow(allowed.clone()))).await?;
        Ok(Permit::sealed(allowed, sealed))
    }

    /// The same for a refusal that needed no rule: a parameter that is wrong, a path that leads out.
    pub(crate) async fn refuse(&self, refusal: Refusal, about: About) -> Result<Verdict, Unsealed> {
        let terms = Terms::Deny(refusal);
        let sealed = self.seal(&about.record(&terms)).await?;
        Ok(Verdict::sealed(terms, sealed))
    }

    /// Returns when the record is on disk.
    pub(crate) async fn seal(&self, record: &Record) -> Result<Sealed, Unsealed> {
        let body = records::body(record)?;
        let (done, wait) = oneshot::channel();
        // Whoever waited may have gone; the record stays.
        let seen = self.seen.clone();
        self.log.append(body, move |result| {
            seen.result(&result);
            done.send(result).unwrap_or(());
        });
        Ok(wait.await.map_err(|_| Unsealed::Gone)??)
    }

    /// Notes what has happened.
    pub(crate) fn note(&self, record: &Record) {
        match records::body(record) {
            Ok(body) => self.log.append(body, {
                let seen = self.seen.clone();
                move |result| {
                    seen.result(&result);
                    if let Err(error) = result {
                        not_noted(&error);
                    }
                }
            }),
            Err(error) => not_noted(&error),
        }
    }

    /// Notes many, and waits for a place in the queue for each.
    pub(crate) async fn note_all(&self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            while let Err(Unsealed::Log(AppendError::Busy { .. })) = self.queue(&record) {
                tokio::time::sleep(FULL).await;
            }
        }
    }

    /// Queues a record; only a full queue is an error, everything else is told in the daemon's log.
    fn queue(&self, record: &Record) -> Result<(), Unsealed> {
        let body = match records::body(record) {
            Ok(body) => body,
            Err(error) => {
                not_noted(&error);
                return Ok(());
            }
        };
        // Called on this thread when the queue is full, and then before `append` returns.
        let (full, was_full) = std::sync::mpsc::channel();
        let seen = self.seen.clone();
        self.log.append(body, move |result| {
            seen.result(&result);
            match result {
                Err(error @ AppendError::Busy { .. }) => full.send(error).unwrap_or(()),
                Err(error) => not_noted(&error),
                Ok(_) => {}
            }
        });
        was_full.try_recv().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Told how many records are sealed, whenever there are more.
    pub(crate) fn grown(&self) -> watch::Receiver<u64> {
        self.seen.grown.subscribe()
    }

    /// Returns when the log cannot be believed any more, with the reason.
    pub(crate) async fn broken(&self) -> String {
        let mut broken = self.seen.broken.subscribe();
        let found = broken.wait_for(Option::is_some).await;
        // The sender is our own, so that it cannot be gone.
        found.ok().and_then(|why| why.clone()).unwrap_or_default()
    }

    /// How the log is.
    pub(crate) fn status(&self) -> Status {
        self.log.status()
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The public key as text.
    pub(crate) fn key(&self) -> String {
        self.log.key().to_string()
    }

    /// Seals what waits, and ends.
    pub(crate) fn close(self) -> Result<(), AppendError> {
        self.log.close()
    }
}

fn not_noted(error: &dyn std::error::Error) {
    journal::error(format_args!("something that happened is not in the audit log: {}", journal::sentence(error)));
}
