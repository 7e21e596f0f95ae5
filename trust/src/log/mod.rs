//! A log on disk: writing, reading, verifying, proving. The only part of this crate that touches files.
//!
//! ```text
//!   Log::open ──► append(body, done) ──► Sealed         one writer, by a lock on the directory
//!   Reader::open(from), open_at(time) ──► next()        any number of readers
//!   verify(directory, key) ──► Report | Finding         needs no lock, no secret and no daemon
//!   prove_inclusion / prove_consistency ──► a proof for somebody who has only the key
//! ```

mod appended;
mod directory;
mod error;
mod keys;
mod lines;
mod notes;
mod options;
mod prove;
mod reader;
mod recovery;
mod sealed;
mod thread;
mod verify;
mod writer;

pub use error::{AppendError, FileError, OpenError, ReadError};
pub use options::{Options, Retention, Rotation};
pub use prove::{ProveError, prove_consistency, prove_inclusion};
pub use reader::Reader;
pub use recovery::Recovery;
pub use sealed::Sealed;
pub use thread::{Log, Status};
pub use verify::{segments, signed, verify, verify_part};

/// The name of the file with the public key in a log's directory.
pub const PUBLIC_KEY: &str = keys::PUBLIC;

/// The name of the file of checkpoints in a log's directory.
pub const CHECKPOINTS: &str = directory::CHECKPOINTS;
