//! `memory export`.

use super::opened::Opened;
use super::source::{self, Source, SourceError};
use super::tree::Tree;
use crate::cli::memory as cli;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::show;
use crate::tar::{WriteError, Writer};
use crate::whole_file::{WholeFile, escaped};
use protocol::memory::Part;
use std::io::{self, BufWriter, IsTerminal as _, Read, Write};
use std::path::Path;

/// `agentctl memory export`.
pub(crate) fn export(socket: &Path, options: &cli::Export) -> Result<u8, Failure> {
    let to_stdout = options.output.as_os_str() == "-";
    if to_stdout && io::stdout().is_terminal() {
        let name = &options.name;
        return Err(Failure::Usage(format!(
            "an archive is nothing for a terminal; give a file (-o {name}.tar) or send it on (| zstd > {name}.tar.zst)"
        )));
    }
    refuse_directory(options)?;
    let opened = Opened::new(socket, &options.name)?;
    let parts = opened.parts(options.working);
    let failed = |source| Failure::Export { name: options.name.clone(), source };
    if to_stdout {
        return write(&opened.tree, parts, io::stdout().lock()).map(|_| 0).map_err(|error| match error {
            ExportError::Write(WriteError::Output(error)) => Failure::Output(error),
            error => failed(error.into()),
        });
    }
    let output = WholeFile::new(&options.output)?;
    write(&opened.tree, parts, output.file()).map_err(|error| failed(error.into()))?;
    output.keep()?;
    Ok(0)
}

/// Said before anything is read, and not when the archive is to get its name.
fn refuse_directory(options: &cli::Export) -> Result<(), Failure> {
    let (path, name) = (&options.output, &options.name);
    if options.output.as_os_str() == "-" || !path.is_dir() {
        return Ok(());
    }
    let (path, file) = (escaped(path), escaped(&path.join(format!("{name}.tar"))));
    Err(Failure::Usage(format!("cannot write {path}: it is a directory; name the file in it: -o {file}")))
}

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Write(WriteError),
    #[error("{path}")]
    Entry { path: String, source: WriteError },
}

/// Writes the archive of a tree.
pub(super) fn write(tree: &Tree, parts: Vec<Part>, out: impl Write) -> Result<(), ExportError> {
    let mut progress = Progress::new("exported");
    let mut writer = Writer::new(BufWriter::with_capacity(64 << 10, out));
    let mut source = Source::new(tree, parts);
    while let Some((path, entry, content)) = source.next::<ExportError>(|_, _| Ok(true))? {
        progress.entry();
        let mut content: Box<dyn Read> = match content {
            Some(file) => Box::new(progress.counting(file)),
            None => Box::new(io::empty()),
        };
        let missing = writer.add(&entry, &mut content).map_err(|source| match source {
            WriteError::Output(_) => ExportError::Write(source),
            source => ExportError::Entry { path: path.to_string(), source },
        })?;
        if missing > 0 {
            show::notice(&format!("{path} became shorter while it was read; {missing} bytes at its end are zero"));
        }
    }
    for path in &source.sockets {
        show::notice(&format!("{path} is a socket, which no archive holds; it was left out"));
    }
    for path in &source.too_large {
        show::notice(&format!("{path} is nearly all hole, and larger than /mem/working; it was left out"));
    }
    if source.too_deep > 0 {
        let (count, most) = (source.too_deep, source::LONGEST_PATH >> 10);
        show::notice(&format!(
            "{count} names with what is beneath them were left out: their paths are longer than {most} KiB"
        ));
    }
    writer.finish().map_err(ExportError::Write)?;
    Ok(())
}
