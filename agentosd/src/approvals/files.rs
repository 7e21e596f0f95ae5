//! Each approval is a file, replaced as a whole.

use crate::journal;
use crate::store::set_aside;
use protocol::approval::Approval;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The version that is written. A newer one is left alone and not listed.
const VERSION: u32 = 1;

/// Why approvals cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}", path.display())]
pub(crate) struct StoreError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    approval: Approval,
}

fn fail<'a>(attempt: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + use<'a> {
    move |source| StoreError { attempt, path: path.to_owned(), source }
}

/// All that are there, and the highest number that was ever given. A damaged file is set aside and named: nothing is approved
/// by it, and its number is nobody else's.
pub(super) fn load(directory: &Path) -> Result<(BTreeMap<u64, Approval>, u64), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fail("create", directory))?;
    let (mut all, mut highest) = (BTreeMap::new(), 0);
    for entry in fs::read_dir(directory).map_err(fail("list", directory))? {
        let path = entry.map_err(fail("list", directory))?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.split('.').next()?.parse().ok());
        highest = highest.max(number.unwrap_or(0));
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read(&path).map_err(fail("read", &path))?;
        match serde_json::from_slice::<Kept>(&text) {
            Ok(Kept { version: VERSION, approval }) => drop(all.insert(approval.id.number(), approval)),
            Ok(Kept { version, .. }) => {
                journal::warning(format_args!("{} is of version {version} and not listed", path.display()));
            }
            Err(error) => {
                if let Err(error) = set_aside(&path, &error.to_string()) {
                    journal::warning(format_args!("{}", journal::sentence(&error)));
                }
            }
        }
    }
    Ok((all, highest))
}

/// Returns when it is on disk.
pub(super) fn save(directory: &Path, approval: &Approval) -> Result<(), StoreError> {
    let path = path_of(directory, approval.id.number());
    let new = path.with_extension("new");
    let kept = Kept { version: VERSION, approval: approval.clone() };
    let text = serde_json::to_vec(&kept).map_err(io::Error::from).map_err(fail("write", &path))?;
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&new).map_err(fail("create", &new))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(fail("write", &new))?;
    fs::rename(&new, &path).map_err(fail("replace", &path))?;
    File::open(directory).and_then(|held| held.sync_all()).map_err(fail("write", directory))
}

/// Removes one; that it stays is no more than a file too many.
pub(super) fn remove(directory: &Path, number: u64) {
    let path = path_of(directory, number);
    if let Err(error) = fs::remove_file(&path) {
        journal::warning(format_args!("cannot remove {}: {error}", path.display()));
    }
}

fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number}.json"))
}
