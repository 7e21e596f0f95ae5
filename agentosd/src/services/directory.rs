//! The directory of agents' files, read. They decide what root starts, so that nobody else may have written them.

use super::account;
use super::file::{AgentFile, MAX_BYTES};
use super::graph;
use crate::caller::Caller;
use policies::Digest;
use protocol::ids::AgentName;
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// Write for the group or for others.
const OTHERS_WRITE: u32 = 0o022;
/// Files of one directory; more is a mistake.
const MOST_FILES: usize = 1000;

/// An agent's file that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    /// What it says.
    pub(super) file: AgentFile,
    /// In whose name.
    pub(super) caller: Caller,
    /// The SHA-256 of its text.
    pub(super) digest: String,
}

/// What there is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Those that are taken, in the order in which they are started.
    pub(super) taken: Vec<(AgentName, Arc<Spec>)>,
    /// Those that are not, by the file's name without its end: in whose name as far as that is known, and why.
    pub(super) refused: BTreeMap<String, (u32, String)>,
}

/// Reads every file; why the directory as a whole is not read.
pub(super) fn read(directory: &Path) -> Result<Found, String> {
    let shown = directory.display();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match openat(CWD, directory, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(Found::default()),
        Err(error) => return Err(format!("cannot open {shown}: {error}")),
    };
    let stat = fstat(&opened).map_err(|error| format!("cannot look at {shown}: {error}"))?;
    trusted(&stat).map_err(|why| format!("{shown} {why}; chown root {shown} and chmod go-w {shown}"))?;
    let names = names(&opened).map_err(|error| format!("cannot list {shown}: {error}"))?;
    if names.len() > MOST_FILES {
        return Err(format!("{shown} has more than {MOST_FILES} files; move those away that are no agents'"));
    }
    Ok(judged(names.into_iter().map(|stem| {
        let read = one(opened.as_fd(), directory, &stem);
        (stem, read)
    })))
}

/// Names of files without `.yaml`, sorted. Others are somebody's notes or an editor's.
fn names(directory: &OwnedFd) -> rustix::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(stem) = name.strip_suffix(".yaml").filter(|_| !name.starts_with('.')) {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn one(directory: impl AsFd, path: &Path, stem: &str) -> Result<(AgentName, Spec), String> {
    let name = AgentName::parse(stem).map_err(|error| format!("its name is the agent's: {error}"))?;
    let text = text(directory, path, &format!("{stem}.yaml"))?;
    let file = AgentFile::parse(&text)?;
    let caller = account::of(&file.user)?;
    Ok((name, Spec { file, caller, digest: Digest::of_text(&text).to_string() }))
}

/// The text of a regular file that root alone writes.
fn text(directory: impl AsFd, path: &Path, name: &str) -> Result<String, String> {
    let path = path.join(name);
    let shown = path.display();
    // Not through a link, which would have the owner of another file; and without waiting for a FIFO's writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = openat(directory, name, flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP => "it is a symbolic link; expected a regular file".to_owned(),
        error => format!("cannot open it: {error}"),
    })?;
    let stat = fstat(&opened).map_err(|error| format!("cannot look at it: {error}"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("it is no regular file".to_owned());
    }
    trusted(&stat).map_err(|why| format!("it {why}; chown root {shown} and chmod go-w {shown}"))?;
    let (mut bytes, most) = (Vec::new(), u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1));
    File::from(opened).take(most).read_to_end(&mut bytes).map_err(|error| format!("cannot read it: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// Only root may have written it.
fn trusted(stat: &Stat) -> Result<(), String> {
    if stat.st_uid == 0 && stat.st_mode & OTHERS_WRITE == 0 {
        return Ok(());
    }
    let mode = stat.st_mode & 0o7777;
    Err(format!("belongs to uid {} and has mode {mode:04o}: root alone may write what root starts", stat.st_uid))
}

/// Takes those that are right in themselves and towards each other.
fn judged(all: impl Iterator<Item = (String, Result<(AgentName, Spec), String>)>) -> Found {
    let (mut good, mut refused, mut broken) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for (stem, read) in all {
        match read {
            Ok((name, spec)) => {
                good.insert(name, spec);
            }
            Err(why) => {
                broken.extend(AgentName::parse(&stem));
                refused.insert(stem, (0, why));
            }
        }
    }
    let needs = good.iter().map(|(name, spec)| (name, &spec.file.depends_on[..])).collect();
    let judged = graph::judge(&needs, &broken);
    for (name, why) in judged.refused {
        let owner = good.get(&name).map_or(0, |spec| spec.caller.uid);
        refused.insert(name.to_string(), (owner, why));
    }
    let taken = judged.order.into_iter().filter_map(|name| Some((name.clone(), Arc::new(good.remove(&name)?))));
    Found { taken: taken.collect(), refused }
}

#[cfg(test)]
mod tests;
