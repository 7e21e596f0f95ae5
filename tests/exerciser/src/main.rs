//! Uses a file system hard and says where it is not as Linux's own, or has lost what it acknowledged.
//!
//! ```text
//!   tree     one process: random calls, each made in a reference directory (a tmpfs) too; every answer is compared
//!   share    several processes on the same files: locks, appending, replacing; nothing may be lost or torn
//!   durable  writes, and prints what fsync(2) has acknowledged, until it is killed
//!   judge    reads that list, and looks whether it is all there
//! ```
//! The exit code is 0 when everything was right, and 1 with a sentence when it was not.
#![forbid(unsafe_code)]

mod act;
mod compare;
mod durable;
mod random;
mod share;
mod tree;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(name = "exerciser", max_term_width = 100)]
struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Random calls, compared with the same calls in REFERENCE; both are emptied first
    Tree {
        directory: PathBuf,
        reference: PathBuf,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// PROCESSES on the same files
    Share {
        directory: PathBuf,
        #[arg(long, default_value_t = 4)]
        processes: u32,
        #[arg(long, default_value_t = 500)]
        rounds: u32,
    },
    /// One of the processes of `share`
    #[command(hide = true)]
    ShareOne { directory: PathBuf, number: u32, rounds: u32 },
    /// Writes durably in each DIRECTORY at once; a name that ends with `+` is only appended to
    Durable { directories: Vec<PathBuf> },
    /// What `durable` printed, on standard input, against what each DIRECTORY holds
    Judge { directories: Vec<PathBuf> },
}

fn main() -> ExitCode {
    let done = match Flags::parse().what {
        What::Tree { directory, reference, seconds, seed } => {
            tree::run(&directory, &reference, Duration::from_secs(seconds), seed)
        }
        What::Share { directory, processes, rounds } => share::run(&directory, processes, rounds),
        What::ShareOne { directory, number, rounds } => share::one(&directory, number, rounds),
        What::Durable { directories } => durable::write(&directories),
        What::Judge { directories } => durable::judge(&directories),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exerciser: {error:#}");
            ExitCode::FAILURE
        }
    }
}
