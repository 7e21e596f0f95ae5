//! `audit check-proof`: what `prove` printed, against the public key.

use super::entry::Entry;
use super::key::{Key, checkpoints};
use crate::cli::audit as cli;
use crate::failure::{Failure, with_causes};
use crate::show::{self, Look};
use crate::whole_file::escaped;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use trust::format::Record;
use trust::note::{Signed, VerifyingKey};
use trust::proofs::{Consistency, Inclusion};

/// A proof has at most 64 hashes, a checkpoint and a record.
const MAX: u64 = 1 << 20;

/// As JSON.
#[derive(Deserialize)]
struct Written {
    index: Option<u64>,
    old: Option<u64>,
    path: Vec<String>,
    checkpoint: String,
    record: Option<String>,
}

/// What a text claims.
#[derive(Debug)]
enum Proof {
    Record(Box<Record>, Inclusion),
    Growth(Consistency),
}

/// `agentctl audit check-proof`.
pub(crate) fn check(options: &cli::CheckProof) -> Result<u8, Failure> {
    let key = Key::given(&options.key)?;
    let text = text(&options.file)?;
    let not_proved = |why: String| Failure::Audit(format!("accept the proof: {why}"));
    match read(&text, &key).map_err(not_proved)? {
        Proof::Record(record, proof) => {
            proof.verify(record.line().as_bytes()).map_err(|error| not_proved(with_causes(&error)))?;
            let size = proof.checkpoint.checkpoint().size;
            show::line(&format!("proved: this is record {} of the {size} that {} had", proof.index, key.name()))?;
            show::print(&show::audit::page(&Entry::of(*record), Look::of_output()))?;
        }
        Proof::Growth(proof) => {
            let old = older(options.checkpoint.as_deref(), &proof, &key)?;
            proof.verify(old.checkpoint().root).map_err(|error| not_proved(with_causes(&error)))?;
            let size = proof.checkpoint.checkpoint().size;
            show::line(&format!(
                "proved: the {size} records of {} begin with the {} of the older checkpoint",
                key.name(),
                proof.old
            ))?;
        }
    }
    Ok(0)
}

fn older(path: Option<&Path>, proof: &Consistency, key: &VerifyingKey) -> Result<Signed, Failure> {
    let path = path.ok_or_else(|| {
        Failure::Usage(format!("the older checkpoint is needed, that of {} records: --checkpoint FILE", proof.old))
    })?;
    let found = checkpoints(path, key)?.into_iter().find(|note| note.checkpoint().size == proof.old);
    found.ok_or_else(|| {
        Failure::Audit(format!("accept the proof: {} has no checkpoint of {} records", escaped(path), proof.old))
    })
}

fn read(text: &str, key: &VerifyingKey) -> Result<Proof, String> {
    let why = |error: &dyn std::error::Error| with_causes(error);
    if text.starts_with("old ") {
        return Consistency::parse(text, key).map(Proof::Growth).map_err(|error| why(&error));
    }
    if let Ok(written) = serde_json::from_str::<Written>(text) {
        return read(&written.lines()?, key);
    }
    let (line, proof) = text.split_once('\n').ok_or("it is none: a record's line comes first, or `old N`")?;
    let record = Record::parse(format!("{line}\n").as_bytes()).map_err(|error| why(&error))?;
    let proof = Inclusion::parse(proof, key).map_err(|error| why(&error))?;
    if record.seq != proof.index {
        return Err(format!("it is of record {}, and the record is {}", proof.index, record.seq));
    }
    Ok(Proof::Record(Box::new(record), proof))
}

impl Written {
    /// The same as lines.
    fn lines(self) -> Result<String, String> {
        let path: String = self.path.iter().map(|hash| format!("{hash}\n")).collect();
        match (self.old, self.index, self.record) {
            (Some(old), None, None) => Ok(format!("old {old}\n{path}\n{}", self.checkpoint)),
            (None, Some(index), Some(record)) => {
                let record = record.strip_suffix('\n').unwrap_or(&record);
                Ok(format!("{record}\nc2sp.org/tlog-proof@v1\nindex {index}\n{path}\n{}", self.checkpoint))
            }
            _ => Err("it has neither `old` alone nor `index` and `record`".to_owned()),
        }
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    let failed = |source| Failure::File { attempt: "read", path: escaped(path), source };
    let mut text = String::new();
    if path.as_os_str() == "-" {
        io::stdin().take(MAX).read_to_string(&mut text).map_err(Failure::os("read standard input"))?;
    } else {
        File::open(path).and_then(|file| file.take(MAX).read_to_string(&mut text)).map_err(failed)?;
    }
    Ok(text)
}
