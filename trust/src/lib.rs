//! The audit log of Agent OS: append-only, sealed, and verifiable by somebody who trusts neither us nor the host.
//!
//! ```text
//!   tree      RFC 6962: hashes, the frontier of a tree, inclusion and consistency ─┐
//!   note      signed notes: keys, checkpoints                                      ├─ pure
//!   format    the lines of the files, and a checker that follows a whole log       │
//!   proofs    what is handed to somebody who has only the public key              ─┘
//!   log       the files: one writer with group commit, readers, the offline verifier
//! ```
//! The format is described byte for byte in `docs/audit-format.md`; why it is so, in `docs/decisions/`. Files are touched in
//! [`log`] only; the rest knows no file, no clock and no random number.
//!
//! ```
//! use trust::{format::Body, log};
//! let place = tempfile::tempdir()?;
//! let (audit, _) = log::Log::open(place.path(), log::Options::new("host.example/audit".parse()?))?;
//! // The decision takes effect only with what this returns.
//! let sealed = audit.append_and_wait(Body::new(&serde_json::json!({"event": "denial", "path": "/etc/shadow"}))?)?;
//! let key = audit.key().clone();
//! audit.close()?;
//!
//! // Anywhere else, with the files and the public key:
//! let report = log::verify(place.path(), &key, &[])?;
//! assert!(report.is_whole());
//! let (proof, record) = log::prove_inclusion(place.path(), &key, sealed.seq(), None)?;
//! proof.verify(record.line().as_bytes())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod log;
pub mod note;
pub mod proofs;
pub mod tree;
