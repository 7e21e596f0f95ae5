//! An audit log without a daemon: seals until it is killed or the disk is full, and judges what is left.
//!
//! ```text
//!   write    appends from several threads and prints `SEQ HASH` for each record that is sealed, until it is killed;
//!            what is refused it prints as `refused …`, and goes on
//!   append   seals the JSON objects on standard input, a line each, signs now and then, and closes the log
//!   judge    reads that list; opens the log as a daemon does after a crash, and looks whether it is all there
//!   verify   offline, with the public key
//!   measure  figures for the benchmark, as JSON
//! ```
//! The exit code is 0 when everything was right, and 1 with a sentence when it was not.
#![forbid(unsafe_code)]

mod append;
mod judge;
mod measure;
mod write;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use trust::log::{Options, PUBLIC_KEY, Retention, Rotation};
use trust::note::VerifyingKey;

#[derive(Debug, Parser)]
#[command(name = "sealer", max_term_width = 100)]
struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Appends records, and prints those that are sealed
    Write {
        directory: PathBuf,
        #[command(flatten)]
        kept: Kept,
        #[arg(long, default_value_t = 4)]
        threads: u32,
    },
    /// Seals the JSON objects on standard input
    Append {
        directory: PathBuf,
        #[command(flatten)]
        kept: Kept,
        /// After how many records it signs
        #[arg(long, default_value_t = 5)]
        sign: usize,
    },
    /// What `write` printed, on standard input, against what the log has
    Judge { directory: PathBuf },
    /// Whether the log is as it was written
    Verify { directory: PathBuf },
    /// Records a second, latencies, bytes
    Measure {
        directory: PathBuf,
        /// How many are sealed together
        #[arg(long, default_value_t = 200_000)]
        records: u64,
        /// How many one after the other
        #[arg(long, default_value_t = 1_000)]
        single: u64,
        /// How many are verified
        #[arg(long, default_value_t = 1_000_000)]
        verified: u64,
    },
}

/// How the log is kept.
#[derive(Clone, Copy, Debug, Args)]
struct Kept {
    /// Bytes after which a segment is closed
    #[arg(long, default_value_t = 64 << 20)]
    segment: u64,
    /// Most segments
    #[arg(long)]
    segments: Option<u64>,
    /// Milliseconds between checkpoints
    #[arg(long, default_value_t = 20)]
    checkpoint: u64,
}

impl Kept {
    fn options(self) -> Result<Options> {
        let retention = Retention { segments: self.segments, ..Retention::default() };
        let rotation = Rotation { bytes: self.segment, age: Duration::from_secs(24 * 3600) };
        let checkpoint_every = Duration::from_millis(self.checkpoint);
        let origin = "sealer.example/log".parse()?;
        Ok(Options { retention, rotation, checkpoint_every, ..Options::new(origin) })
    }
}

fn main() -> ExitCode {
    let done = match Flags::parse().what {
        What::Write { directory, kept, threads } => kept.options().and_then(|how| write::run(&directory, how, threads)),
        What::Append { directory, kept, sign } => kept.options().and_then(|how| append::run(&directory, how, sign)),
        What::Judge { directory } => judge::run(&directory),
        What::Verify { directory } => judge::verify(&directory).map(|report| println!("{report:?}")),
        What::Measure { directory, records, single, verified } => measure::run(&directory, (records, single, verified)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The key that stands beside the log: here nobody is suspected of having changed it.
fn public_key(directory: &Path) -> Result<VerifyingKey> {
    let path = directory.join(PUBLIC_KEY);
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    text.parse().with_context(|| format!("failed to read the key in {}", path.display()))
}
