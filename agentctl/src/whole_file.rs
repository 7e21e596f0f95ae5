//! Files that people get: under their name when they are whole.

use crate::failure::Failure;
use crate::show;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, open, renameat, unlinkat};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

/// A path as it can be shown.
pub(crate) fn escaped(path: &Path) -> String {
    protocol::text::escape_bytes(path.as_os_str().as_encoded_bytes())
}

/// A file that is whole, or is not there.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: File,
    /// What it is called while it is not whole, and then; none when it is no regular file, such as /dev/null.
    names: Option<(PathBuf, PathBuf)>,
}

impl WholeFile {
    /// Begins one that is to have the name `path`, for its owner alone.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let failed = |source: io::Error| Failure::File { attempt: "write", path: escaped(path), source };
        let exists = std::fs::metadata(path).ok().map(|found| found.file_type());
        if exists.is_some_and(|kind| kind.is_fifo() || kind.is_char_device()) {
            let file = File::options().write(true).open(path).map_err(failed)?;
            return Ok(Self { file, names: None });
        }
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::IsADirectory.into()))?;
        let mut partial = std::ffi::OsString::from(".");
        partial.push(name);
        partial.push(format!(".{}", std::process::id()));
        let partial = path.with_file_name(partial);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        // What an agent remembers or did is its owner's alone.
        let file = open(&partial, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
        Ok(Self { file: file.into(), names: Some((partial, path.to_owned())) })
    }

    /// What is written to.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name, now that it is whole.
    pub(crate) fn keep(mut self) -> Result<(), Failure> {
        let Some((partial, path)) = &self.names else { return Ok(()) };
        self.file.sync_all().map_err(Failure::os("write a file to disk"))?;
        renameat(CWD, partial, CWD, path).map_err(|error| Failure::File {
            attempt: "give its name to",
            path: escaped(path),
            source: error.into(),
        })?;
        self.names = None;
        Ok(())
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some((partial, _)) = &self.names
            && let Err(error) = unlinkat(CWD, partial, AtFlags::empty())
        {
            show::notice(&format!("cannot remove {}, which is not whole: {error}", partial.display()));
        }
    }
}
