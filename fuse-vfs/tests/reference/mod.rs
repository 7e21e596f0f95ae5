//! The reference: a file system in a map, written for plainness.

use proptest::prelude::*;
use protocol::vfs::Quota;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// What an operation answers: content where it reads, the count where it writes.
pub(crate) type Outcome = Result<Vec<u8>, Errno>;
/// Names from the root down, at least one.
pub(crate) type Names = Vec<OsString>;

/// What an agent may try.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Create(Names),
    Mkdir(Names),
    Symlink(Names),
    Write {
        path: Names,
        offset: u64,
        length: usize,
        byte: u8,
        append: bool,
    },
    Read(Names),
    Truncate(Names, u64),
    Unlink(Names),
    Rmdir(Names),
    Rename(Names, Names, bool),
    Link(Names, Names),
    /// Open it, and keep it open.
    Hold(Names),
    /// Close what is held.
    Release,
}

/// Operations on few names, so that they meet.
pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let name = prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(OsString::from);
    let path = || proptest::collection::vec(name.clone(), 1..4);
    let write = (path(), 0u64..20_000, 0usize..20_000, any::<u8>(), any::<bool>());
    prop_oneof![
        3 => path().prop_map(Operation::Create),
        3 => path().prop_map(Operation::Mkdir),
        1 => path().prop_map(Operation::Symlink),
        4 => write.prop_map(|(path, offset, length, byte, append)| {
            Operation::Write { path, offset, length, byte, append }
        }),
        1 => path().prop_map(Operation::Read),
        2 => (path(), 0u64..40_000).prop_map(|(path, size)| Operation::Truncate(path, size)),
        2 => path().prop_map(Operation::Unlink),
        1 => path().prop_map(Operation::Rmdir),
        3 => (path(), path(), proptest::bool::weighted(0.2)).prop_map(|(a, b, c)| Operation::Rename(a, b, c)),
        2 => (path(), path()).prop_map(|(a, b)| Operation::Link(a, b)),
        3 => path().prop_map(Operation::Hold),
        1 => Just(Operation::Release),
    ]
}

#[derive(Clone, Debug)]
enum File {
    Regular(Vec<u8>),
    Directory(BTreeMap<OsString, usize>),
    Symlink,
}

/// Files by number; the root is 0.
#[derive(Debug)]
pub(crate) struct Model {
    files: Vec<File>,
    /// Files that are open: they count until they are closed, with a name or without.
    held: Vec<usize>,
    append_only: bool,
    limit: Quota,
}

impl Model {
    pub(crate) fn new(append_only: bool, limit: Quota) -> Self {
        Self { files: vec![File::Directory(BTreeMap::new())], held: Vec::new(), append_only, limit }
    }

    fn entries(&self, directory: usize) -> Result<&BTreeMap<OsString, usize>, Errno> {
        match &self.files[directory] {
            File::Directory(entries) => Ok(entries),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn entries_mut(&mut self, directory: usize) -> &mut BTreeMap<OsString, usize> {
        match &mut self.files[directory] {
            File::Directory(entries) => entries,
            _ => panic!("checked before"),
        }
    }

    fn find(&self, path: &[OsString]) -> Result<usize, Errno> {
        let mut at = 0;
        for name in path {
            at = *self.entries(at)?.get(name).ok_or(Errno::NOENT)?;
        }
        Ok(at)
    }

    /// The directory and the last name.
    fn place<'a>(&self, path: &'a [OsString]) -> Result<(usize, &'a OsString), Errno> {
        let (name, parents) = path.split_last().expect("a name");
        let directory = self.find(parents)?;
        self.entries(directory)?;
        Ok((directory, name))
    }

    /// The files that names lead to, once for each name.
    fn named(&self) -> Vec<usize> {
        let mut named = Vec::new();
        let mut open = vec![0];
        while let Some(directory) = open.pop() {
            for file in self.entries(directory).expect("a directory").values() {
                named.push(*file);
                if matches!(self.files[*file], File::Directory(_)) {
                    open.push(*file);
                }
            }
        }
        named
    }

    pub(crate) fn used(&self) -> Quota {
        let mut counted = self.named();
        for held in &self.held {
            if !counted.contains(held) {
                counted.push(*held);
            }
        }
        let inodes = counted.len() as u64;
        counted.sort_unstable();
        counted.dedup();
        let content = |file: &usize| match &self.files[*file] {
            File::Regular(content) => (content.len() as u64).next_multiple_of(4096),
            _ => 0,
        };
        Quota { bytes: inodes * 4096 + counted.iter().map(content).sum::<u64>(), inodes }
    }

    fn room_for_a_file(&self) -> Result<(), Errno> {
        let used = self.used();
        if used.inodes >= self.limit.inodes {
            return Err(Errno::DQUOT);
        }
        if used.bytes + 4096 > self.limit.bytes { Err(Errno::NOSPC) } else { Ok(()) }
    }

    fn add(&mut self, path: &[OsString], file: File) -> Result<(), Errno> {
        let (directory, name) = self.place(path)?;
        self.room_for_a_file()?;
        if self.entries(directory)?.contains_key(name) {
            return Err(Errno::EXIST);
        }
        let number = self.files.len();
        self.files.push(file);
        self.entries_mut(directory).insert(name.clone(), number);
        Ok(())
    }

    fn regular(&mut self, path: &[OsString]) -> Result<&mut Vec<u8>, Errno> {
        let number = self.find(path)?;
        match &mut self.files[number] {
            File::Regular(content) => Ok(content),
            File::Directory(_) => Err(Errno::ISDIR),
            File::Symlink => Err(Errno::INVAL),
        }
    }

    fn is_directory(&self, file: usize) -> bool {
        matches!(self.files[file], File::Directory(_))
    }

    pub(crate) fn apply(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::Create(path) => self.add(path, File::Regular(Vec::new()))?,
            Operation::Mkdir(path) => self.add(path, File::Directory(BTreeMap::new()))?,
            Operation::Symlink(path) => self.add(path, File::Symlink)?,
            Operation::Write { path, offset, length, byte, append } => {
                return self.write(path, (*offset, *append), &vec![*byte; *length]);
            }
            Operation::Read(path) => return self.regular(path).cloned(),
            Operation::Truncate(path, size) => self.truncate(path, *size)?,
            Operation::Unlink(path) => self.remove(path, false)?,
            Operation::Rmdir(path) => self.remove(path, true)?,
            Operation::Rename(from, to, exchange) => self.rename(from, to, *exchange)?,
            Operation::Link(from, to) => self.link(from, to)?,
            Operation::Hold(path) => {
                self.regular(path)?;
                let file = self.find(path)?;
                self.held.push(file);
            }
            Operation::Release => self.held.clear(),
        }
        Ok(Vec::new())
    }

    fn write(&mut self, path: &[OsString], (offset, append): (u64, bool), data: &[u8]) -> Outcome {
        let (append_only, used, limit) = (self.append_only, self.used().bytes, self.limit.bytes);
        let content = self.regular(path)?;
        let size = content.len() as u64;
        let offset = if append { size } else { offset };
        if append_only && offset != size {
            return Err(Errno::PERM);
        }
        let free = (limit - used) / 4096 * 4096;
        let most = (size.next_multiple_of(4096) + free).max(size);
        let wanted = offset + data.len() as u64;
        let end = if wanted > size { wanted.min(most) } else { wanted };
        if end < offset || (end == offset && !data.is_empty()) {
            return Err(Errno::NOSPC);
        }
        let fits = usize::try_from(end - offset).expect("small");
        if fits > 0 {
            let (start, end) = (usize::try_from(offset).expect("small"), usize::try_from(end).expect("small"));
            content.resize(content.len().max(end), 0);
            content[start..end].copy_from_slice(&data[..fits]);
        }
        Ok(fits.to_string().into_bytes())
    }

    fn truncate(&mut self, path: &[OsString], size: u64) -> Result<(), Errno> {
        let (append_only, used, limit) = (self.append_only, self.used().bytes, self.limit.bytes);
        let content = self.regular(path)?;
        let present = content.len() as u64;
        if append_only && size != present {
            return Err(Errno::PERM);
        }
        let grown = size.next_multiple_of(4096).saturating_sub(present.next_multiple_of(4096));
        if grown > 0 && used + grown > limit {
            return Err(Errno::NOSPC);
        }
        content.resize(usize::try_from(size).expect("small"), 0);
        Ok(())
    }

    fn remove(&mut self, path: &[OsString], directory_wanted: bool) -> Result<(), Errno> {
        let (directory, name) = self.place(path)?;
        if self.append_only {
            return Err(Errno::PERM);
        }
        let file = *self.entries(directory)?.get(name).ok_or(Errno::NOENT)?;
        match (directory_wanted, &self.files[file]) {
            (true, File::Directory(entries)) if !entries.is_empty() => return Err(Errno::NOTEMPTY),
            (true, File::Regular(_) | File::Symlink) => return Err(Errno::NOTDIR),
            (false, File::Directory(_)) => return Err(Errno::ISDIR),
            _ => {}
        }
        self.entries_mut(directory).remove(name);
        Ok(())
    }

    fn link(&mut self, from: &[OsString], to: &[OsString]) -> Result<(), Errno> {
        let file = self.find(from)?;
        let (directory, name) = self.place(to)?;
        if self.append_only || self.is_directory(file) {
            return Err(Errno::PERM);
        }
        self.room_for_a_file()?;
        if self.entries(directory)?.contains_key(name) {
            return Err(Errno::EXIST);
        }
        self.entries_mut(directory).insert(name.clone(), file);
        Ok(())
    }

    fn rename(&mut self, from: &[OsString], to: &[OsString], exchange: bool) -> Result<(), Errno> {
        let ((old, name), (new, new_name)) = (self.place(from)?, self.place(to)?);
        if self.append_only {
            return Err(Errno::PERM);
        }
        let file = *self.entries(old)?.get(name).ok_or(Errno::NOENT)?;
        let target = self.entries(new)?.get(new_name).copied();
        let into_itself = to.len() > from.len() && to.starts_with(from);
        let out_of_itself = from.len() > to.len() && from.starts_with(to);
        if exchange {
            let target = target.ok_or(Errno::NOENT)?;
            if into_itself || out_of_itself {
                return Err(Errno::INVAL);
            }
            self.entries_mut(old).insert(name.clone(), target);
            self.entries_mut(new).insert(new_name.clone(), file);
            return Ok(());
        }
        if into_itself {
            return Err(Errno::INVAL);
        }
        if out_of_itself {
            return Err(Errno::NOTEMPTY);
        }
        if target == Some(file) {
            return Ok(());
        }
        if let Some(target) = target {
            match (self.is_directory(file), &self.files[target]) {
                (true, File::Directory(entries)) if !entries.is_empty() => return Err(Errno::NOTEMPTY),
                (true, File::Regular(_) | File::Symlink) => return Err(Errno::NOTDIR),
                (false, File::Directory(_)) => return Err(Errno::ISDIR),
                _ => {}
            }
        }
        self.entries_mut(old).remove(name);
        self.entries_mut(new).insert(new_name.clone(), file);
        Ok(())
    }

    pub(crate) fn snapshot(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        let mut open = vec![(String::new(), 0)];
        while let Some((path, directory)) = open.pop() {
            for (name, file) in self.entries(directory).expect("a directory") {
                let path = format!("{path}/{}", name.to_string_lossy());
                let content = match &self.files[*file] {
                    File::Directory(_) => {
                        open.push((path.clone(), *file));
                        b"directory".to_vec()
                    }
                    File::Symlink => b"link".to_vec(),
                    File::Regular(content) => content.clone(),
                };
                found.push((path, content));
            }
        }
        found.sort();
        found
    }
}
