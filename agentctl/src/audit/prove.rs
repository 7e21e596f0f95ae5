//! `audit prove`: proofs for somebody who has only the public key.

use super::key::Key;
use super::place;
use crate::cli::audit as cli;
use crate::failure::Failure;
use crate::show;
use crate::whole_file::WholeFile;
use serde_json::Value;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

/// `agentctl audit prove`.
pub(crate) fn prove(socket: &Path, options: cli::Prove) -> Result<u8, Failure> {
    let directory = place::directory(socket, options.dir);
    let key = Key::new(options.key, &directory)?.key;
    let failed = |error: trust::log::ProveError| Failure::audit(&error);
    let text = match (options.consistency, options.seq) {
        (Some((old, new)), _) => {
            let proof = trust::log::prove_consistency(&directory, &key, old, new).map_err(failed)?;
            if options.json { line(&proof.json()) } else { proof.text() }
        }
        (None, Some(seq)) => {
            let (proof, record) = trust::log::prove_inclusion(&directory, &key, seq, options.size).map_err(failed)?;
            if options.json { line(&proof.json(record.line())) } else { format!("{}{}", record.line(), proof.text()) }
        }
        (None, None) => return Err(Failure::Usage("name a record, or --consistency OLD".to_owned())),
    };
    match options.out {
        None if io::stdout().is_terminal() => show::print(&shown(&text))?,
        None => show::print(&text)?,
        Some(path) => {
            let file = WholeFile::new(&path)?;
            let written = file.file().write_all(text.as_bytes());
            written.map_err(|source| Failure::File {
                attempt: "write",
                path: crate::whole_file::escaped(&path),
                source,
            })?;
            file.keep()?;
        }
    }
    Ok(0)
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// For a terminal. What is escaped then is the same JSON, but no longer what was hashed.
fn shown(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => format!("{}\n", show::guarded(line)),
            None => show::guarded(line),
        })
        .collect()
}
