//! Listing a directory.

use super::beneath::target;
use crate::descriptors::{real_path, shown};
use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, MAX_CONTENT, Prepared};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

/// Most entries in a listing.
const MOST: usize = 10_000;

/// A directory that is open.
#[derive(Debug)]
pub(crate) struct Listing {
    directory: OwnedFd,
    path: String,
}

impl Listing {
    pub(crate) fn prepare(root: &str, path: &str) -> Outcome<(Prepared, Self)> {
        let failed = |errno| Refusal::errno(errno, &format!("open directory {path:?}"));
        let target = target(root, path)?;
        if FileType::from_raw_mode(fstat(&target).map_err(failed)?.st_mode) != FileType::Directory {
            return Err(Refusal::new(RefusalReason::WrongType, format!("{path:?} is no directory")));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(&target, ".", flags, Mode::empty()).map_err(failed)?;
        let path = shown(real_path(&directory)?)?;
        Ok((Prepared { paths: vec![path.clone()], ..Prepared::default() }, Self { directory, path }))
    }

    /// The first entries by name, with type and size; whether there are more is said.
    pub(crate) fn perform(self, bounds: &Bounds) -> Outcome<Value> {
        let failed = |errno: Errno| Refusal::errno(errno, &format!("list {:?}", self.path));
        let mut names: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut truncated = false;
        for entry in Dir::read_from(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.insert(name);
            }
            // Of very many names only the first are ever held.
            truncated |= names.len() > MOST && names.pop_last().is_some();
        }
        let bound = bounds.max_bytes.unwrap_or(MAX_CONTENT).min(MAX_CONTENT);
        let (mut entries, mut length) = (Vec::new(), 0);
        for name in &names {
            let Some(entry) = self.entry(name).map_err(failed)? else { continue };
            length += entry.to_string().len() + 1;
            if u64::try_from(length).unwrap_or(u64::MAX) > bound {
                return Err(Refusal::too_large(&format!("the listing of {:?}", self.path), bound));
            }
            entries.push(entry);
        }
        Ok(json!({"entries": entries, "truncated": truncated}))
    }

    /// Nothing when it has gone meanwhile.
    fn entry(&self, name: &[u8]) -> Result<Option<Value>, Errno> {
        let status = match statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => status,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let kind = word(FileType::from_raw_mode(status.st_mode));
        Ok(Some(json!({"name": escaped(name), "type": kind, "size": status.st_size})))
    }
}

fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::Unknown => "unknown",
    }
}

/// Names that are not UTF-8 have `\xNN` for each byte that is in no character; `\` is `\\`, in those names only.
fn escaped(name: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(name) {
        return text.to_owned();
    }
    let mut shown = String::new();
    for chunk in name.utf8_chunks() {
        shown.push_str(&chunk.valid().replace('\\', "\\\\"));
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn only_names_that_are_not_utf8_are_escaped() {
        assert_eq!(escaped("käse\\".as_bytes()), "käse\\");
        assert_eq!(escaped(b"k\xe4se\\"), "k\\xe4se\\\\");
    }
}
