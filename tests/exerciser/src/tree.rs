//! The same random calls in a directory and in a reference: every answer must be the same.

use crate::act::Act;
use crate::compare::Side;
use crate::random::Random;
use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many calls are shown with a difference.
const SHOWN: usize = 12;
/// After how many calls both trees are compared whole.
const ROUND: u64 = 2_000;

/// Makes calls for `time`.
pub(crate) fn run(directory: &Path, reference: &Path, time: Duration, seed: u64) -> Result<()> {
    for path in [directory, reference] {
        empty(path)?;
    }
    let side = |path| Side::new(path).with_context(|| format!("failed to open {}", path.display()));
    let (mut ours, mut theirs) = (side(directory)?, side(reference)?);
    let mut random = Random::new(seed);
    let mut recent = VecDeque::new();
    let (begin, mut calls, mut done) = (Instant::now(), 0_u64, 0_u64);
    while begin.elapsed() < time {
        let act = Act::any(&mut random);
        let answer = ours.perform(&act);
        calls += 1;
        // A descriptor that is not open says nothing.
        if answer != Err(Errno::BADF) {
            recent.push_back(format!("{act:?} = {answer:?}"));
        }
        if recent.len() > SHOWN {
            recent.pop_front();
        }
        // A refusal to reserve room is an answer that posix_fallocate(3) knows. Made in one tree only, sizes would differ.
        if matches!(act, Act::Allocate { .. }) && answer == Err(Errno::OPNOTSUPP) {
            continue;
        }
        // Memory keeps short ones only (docs/file-system-suites.md).
        if matches!(act, Act::Symlink { .. }) && answer == Err(Errno::NAMETOOLONG) {
            continue;
        }
        let expected = theirs.perform(&act);
        done += u64::from(answer.is_ok());
        if answer != expected {
            let recent = recent.into_iter().collect::<Vec<_>>().join("\n  ");
            bail!("call {calls} of seed {seed} answered differently\n  {recent}\n  the reference: {expected:?}");
        }
        if calls % ROUND == 0 {
            let (ours, theirs) = (snapshot(directory)?, snapshot(reference)?);
            if let Some(difference) = ours.iter().zip(&theirs).find(|(one, other)| one != other) {
                bail!("after call {calls} of seed {seed} the trees differ: {difference:?}");
            }
            if ours.len() != theirs.len() {
                bail!("after call {calls} of seed {seed} there are {} files, not {}", ours.len(), theirs.len());
            }
        }
    }
    println!("tree: {calls} calls of seed {seed}, {done} of them done, all answers as the reference's");
    Ok(())
}

/// Every path beneath `root` with its content.
fn snapshot(root: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(&directory).with_context(|| format!("failed to list {}", directory.display()))?;
        for entry in entries {
            let entry = entry.context("failed to list")?;
            let (path, kind) = (entry.path(), entry.file_type().context("an entry has no type")?);
            // What may not be read is not read in either tree.
            let content = match () {
                () if kind.is_dir() => fs::read_dir(&path).map(|_| Vec::new()),
                () if kind.is_file() => fs::read(&path),
                () if kind.is_symlink() => {
                    fs::read_link(&path).map(|target| target.into_os_string().into_encoded_bytes())
                }
                () => Ok(Vec::new()),
            };
            if kind.is_dir() && content.is_ok() {
                open.push(path.clone());
            }
            let content = content.unwrap_or_else(|error| error.to_string().into_bytes());
            found.push((path.strip_prefix(root).unwrap_or(&path).to_owned(), content));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn empty(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("failed to list {}", directory.display()))? {
        let entry = entry.context("failed to list")?;
        let path = entry.path();
        let removed = if entry.file_type().context("an entry has no type")?.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.with_context(|| format!("failed to remove {}", path.display()))?;
    }
    Ok(())
}
