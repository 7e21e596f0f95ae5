//! The key of a log: made once, at its first start.

use super::directory::{Directory, read};
use super::error::{FileError, OpenError};
use crate::note::{KeyError, Origin, SigningKey};
use rustix::rand::{GetRandomFlags, getrandom};

/// The secret half.
pub(super) const SECRET: &str = "signing.key";
/// The public half.
pub(super) const PUBLIC: &str = "signing.vkey";

/// The log's key; `None` when there is none yet.
pub(super) fn load(directory: &Directory) -> Result<Option<SigningKey>, OpenError> {
    let path = directory.file(SECRET);
    let Some(bytes) = read(&path)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| KeyError::Form("signing"));
    let key = text.and_then(|text| SigningKey::parse(&text)).map_err(|source| OpenError::Key { path, source })?;
    export(directory, &key)?;
    Ok(Some(key))
}

/// Makes a key. It is durable before anything is signed with it.
pub(super) fn make(directory: &Directory, origin: Origin) -> Result<SigningKey, FileError> {
    let mut seed = [0; 32];
    // Up to 256 bytes come whole; getrandom(2) waits until the kernel's generator is seeded.
    getrandom(&mut seed, GetRandomFlags::empty()).map_err(|error| FileError {
        action: "make",
        path: directory.file(SECRET),
        source: error.into(),
    })?;
    let key = SigningKey::from_seed(origin, &seed);
    directory.place(SECRET, format!("{}\n", key.secret_text()).as_bytes(), 0o600)?;
    export(directory, &key)?;
    directory.sync()?;
    Ok(key)
}

/// Writes the public half beside it, if it is not there or not right.
fn export(directory: &Directory, key: &SigningKey) -> Result<(), FileError> {
    let text = format!("{}\n", key.public());
    if read(&directory.file(PUBLIC))?.as_deref() != Some(text.as_bytes()) {
        directory.place(PUBLIC, text.as_bytes(), 0o644)?;
    }
    Ok(())
}
