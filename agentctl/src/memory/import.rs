//! `memory import`: everything goes into an empty tree first, so that a bad archive, a full quota or our own end change
//! nothing.

use super::opened::{Opened, Restoring};
use super::path::TreePath;
use super::sink::{Sink, SinkError};
use super::source::{Source, SourceError};
use super::tree::Tree;
use crate::account::Account;
use crate::cli::memory as cli;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::show::{self, amount};
use crate::tar::{ReadError, Reader};
use protocol::ids::AgentName;
use protocol::memory::Part;
use protocol::text::escape_bytes;
use rustix::fs::FileType;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Read};
use std::path::Path;

/// `agentctl memory import`.
pub(crate) fn import(socket: &Path, options: &cli::Import) -> Result<u8, Failure> {
    let name = &options.name;
    let archive = input(&options.input)?;
    let restoring = Restoring::new(socket, name, options.owner.map(|owner| owner.uid))?;
    let before = restoring.before.as_ref().map(|_| Opened::new(socket, name)).transpose()?;
    let decided = options.merge || options.replace;
    if let (false, Some(before)) = (decided, &before)
        && !before.is_empty()?
    {
        return Err(Failure::Usage(format!(
            "{name} remembers something already; add --merge to keep it, or --replace to have it forgotten"
        )));
    }
    let kept = before.as_ref().filter(|_| options.merge).map(|before| &before.tree);
    let before_words = if before.is_some() { "remembers what it did before" } else { "still remembers nothing" };
    let failed =
        |error: ImportError| Failure::Import { name: name.clone(), as_before: before_words, source: Box::new(error) };
    let imported = read(BufReader::with_capacity(64 << 10, archive), &restoring.tree, kept).map_err(failed)?;
    drop(before);
    restoring.finish(socket)?;
    if let Some(Account { uid, known: false }) = options.owner {
        show::notice(&format!("this host has no user with the uid {uid}; {name} belongs to that uid all the same"));
    }
    report(name, &imported, options.json)?;
    Ok(0)
}

/// What came of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Imported {
    /// Files, directories and links of the archive; a part itself is none.
    pub(super) entries: u64,
    /// What the archive's files hold.
    pub(super) bytes: u64,
    /// Entries that the name had and the archive did not (`--merge`).
    pub(super) kept: u64,
    /// Entries of /mem/working.
    pub(super) left_out: u64,
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a AgentName,
    #[serde(flatten)]
    imported: &'a Imported,
}

fn report(name: &AgentName, imported: &Imported, json: bool) -> Result<(), Failure> {
    let Imported { entries, bytes, kept, left_out } = *imported;
    if json {
        return show::document(&Report { name, imported });
    }
    if left_out > 0 {
        show::notice(&format!("{left_out} entries of /mem/working were left out, which ends with its agent"));
    }
    let kept = if kept > 0 { format!("; {kept} that it had were kept") } else { String::new() };
    show::line(&format!("{name}: {entries} files and directories restored, {}{kept}", amount::bytes(bytes)))
}

fn input(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path.as_os_str() != "-" {
        let shown = escape_bytes(path.as_os_str().as_encoded_bytes());
        let opened = File::open(path).map_err(|source| Failure::File { attempt: "open", path: shown, source })?;
        return Ok(Box::new(opened));
    }
    if io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "no archive comes from a terminal; give a file (-i FILE) or send one in".to_owned(),
        ));
    }
    Ok(Box::new(io::stdin().lock()))
}

/// Why an archive is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    #[error("the archive")]
    Archive(#[source] ReadError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Reads an archive into an empty tree, and with it what is kept of another one.
pub(super) fn read(archive: impl Read, tree: &Tree, kept: Option<&Tree>) -> Result<Imported, ImportError> {
    let mut progress = Progress::new("imported");
    let mut reader = Reader::new(archive);
    let mut sink = Sink::new(tree);
    let mut imported = Imported::default();
    while let Some(entry) = reader.next().map_err(ImportError::Archive)? {
        progress.entry();
        let bad = |why| SinkError::Path { path: escape_bytes(&entry.path), why };
        let path = TreePath::relative(&entry.path).map_err(bad)?;
        if path.part() == Some(Part::Working) {
            imported.left_out += 1;
            continue;
        }
        imported.entries += u64::from(!path.is_part() && !path.is_above_parts());
        sink.put(path, entry, &mut progress.counting(&mut reader))?;
    }
    imported.bytes = progress.bytes();
    if let Some(kept) = kept {
        imported.kept = keep(kept, &mut sink, &mut progress)?;
    }
    sink.finish()?;
    Ok(imported)
}

/// What the archive does not have comes from the other tree. Gives how much that is, parts themselves not counted.
fn keep(kept: &Tree, sink: &mut Sink<'_>, progress: &mut Progress) -> Result<u64, ImportError> {
    let mut count = 0;
    let mut source = Source::new(kept, Part::LASTING.to_vec());
    let wanted = |sink: &Sink<'_>, path: &TreePath, kind| match (sink.kind(path)?, kind) {
        (None, _) => Ok(true),
        (Some(FileType::Directory), FileType::Directory) => Ok(!sink.has_directory(path)),
        (Some(FileType::Directory), _) | (Some(_), FileType::Directory) => {
            Err(SinkError::Conflict(path.clone()).into())
        }
        (Some(_), _) => Ok(false),
    };
    while let Some((path, entry, content)) = source.next::<ImportError>(|path, kind| wanted(sink, path, kind))? {
        progress.entry();
        count += u64::from(!path.is_part());
        match content {
            Some(file) => sink.put(path, entry, &mut progress.counting(file))?,
            None => sink.put(path, entry, &mut io::empty())?,
        }
    }
    if source.too_deep > 0 {
        return Err(SourceError::Deep { count: source.too_deep }.into());
    }
    Ok(count)
}
