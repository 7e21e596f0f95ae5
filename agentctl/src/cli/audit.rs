//! The grammar of `agentctl audit`.

use crate::audit::{DECISIONS, KINDS, KeyArgument, Moment};
use crate::completing;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use protocol::ids::AgentName;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List what was recorded
    Log(Log),
    /// List what is recorded, as it comes
    Follow(Follow),
    /// Show everything that one record says
    Show(Show),
    /// Check that the log is as it was written, with its files and a public key only
    Verify(Verify),
    /// Prove that a record is in the log, or that the log has only grown
    Prove(Prove),
    /// Check what `prove` has printed, with the public key only
    CheckProof(CheckProof),
    /// Write records to a file
    Export(Export),
}

/// Which records, and from where.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Which {
    /// Only this agent's
    #[arg(long, value_name = "NAME", value_parser = AgentName::parse, add = completing::agents())]
    pub(crate) agent: Option<AgentName>,
    /// Only this kind
    #[arg(long, value_parser = PossibleValuesParser::new(KINDS))]
    pub(crate) kind: Option<String>,
    /// Only what was answered so
    #[arg(long, value_parser = PossibleValuesParser::new(DECISIONS))]
    pub(crate) decision: Option<String>,
    /// Read this directory itself; no agentosd is asked
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Log {
    /// Only so many of the newest
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<u64>,
    /// From this record on
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["last", "since"])]
    pub(crate) from: Option<u64>,
    /// From this time on: 2026-11-23, 2026-11-23T05:57:22Z, or how long ago (90s, 1h30m, 2d)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Moment>,
    /// Go on without end
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Print JSON, a line a record
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Follow {
    /// Begin with so many of the newest
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) last: u64,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Print JSON, a line a record
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The record's number
    pub(crate) seq: u64,
    /// Read this directory itself; no agentosd is asked
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The log's directory [default: agentosd's, or /var/lib/agentos/audit]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// The public key that was kept elsewhere: a file, or the key itself
    #[arg(long, value_name = "FILE|KEY")]
    pub(crate) key: Option<KeyArgument>,
    /// A checkpoint that was kept elsewhere, or a file of several; may be given again
    #[arg(long = "checkpoint", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// It is a part of a log on purpose, as `export --bundle` makes it: what is before it may be missing
    #[arg(long)]
    pub(crate) part: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The record's number
    #[arg(required_unless_present = "consistency")]
    pub(crate) seq: Option<u64>,
    /// Instead: that the log of OLD records is the beginning of that of NEW [default: the latest signed]
    #[arg(long, value_name = "OLD[..NEW]", value_parser = sizes, conflicts_with_all = ["seq", "size"])]
    pub(crate) consistency: Option<Sizes>,
    /// In the tree of this checkpoint [default: the first that covers the record]
    #[arg(long, value_name = "N")]
    pub(crate) size: Option<u64>,
    /// The log's directory [default: agentosd's, or /var/lib/agentos/audit]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// The public key [default: the one in the directory]
    #[arg(long, value_name = "FILE|KEY")]
    pub(crate) key: Option<KeyArgument>,
    /// Where to [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// An older size, and a newer one.
pub(crate) type Sizes = (u64, Option<u64>);

#[derive(Debug, Args)]
pub(crate) struct CheckProof {
    /// The proof, as `prove` printed it; - for standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The public key that was kept elsewhere: a file, or the key itself
    #[arg(long, value_name = "FILE|KEY", required = true)]
    pub(crate) key: KeyArgument,
    /// Of a proof of consistency: the older checkpoint
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) checkpoint: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Each line as it is in the log, byte for byte
    Jsonl,
    /// A header and a row a record, for spreadsheets
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// From this record on [default: the oldest]
    #[arg(long, value_name = "SEQ")]
    pub(crate) from: Option<u64>,
    /// Up to this record, and with it
    #[arg(long, value_name = "SEQ")]
    pub(crate) to: Option<u64>,
    /// Only this agent's
    #[arg(long, value_name = "NAME", value_parser = AgentName::parse, add = completing::agents())]
    pub(crate) agent: Option<AgentName>,
    /// As what
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub(crate) format: Format,
    /// Where to [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// Instead: a new directory with the files of those records, checkpoints and public key, which `verify --part` takes
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["agent", "format", "out"])]
    pub(crate) bundle: Option<PathBuf>,
    /// Read this directory itself; no agentosd is asked
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

fn sizes(text: &str) -> Result<Sizes, String> {
    let number =
        |text: &str| text.parse().map_err(|_| format!("{text:?} is no number of records: write OLD or OLD..NEW"));
    match text.split_once("..") {
        None => Ok((number(text)?, None)),
        Some((old, new)) => Ok((number(old)?, Some(number(new)?))),
    }
}
