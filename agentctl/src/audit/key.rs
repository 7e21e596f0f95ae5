//! The public key with which a log is verified, and whether it can be believed.

use crate::failure::{Failure, with_causes};
use crate::whole_file::escaped;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use trust::log::PUBLIC_KEY;
use trust::note::{Signed, VerifyingKey};

/// The value of `--key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyArgument {
    Key(VerifyingKey),
    File(PathBuf),
}

impl FromStr for KeyArgument {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::File(text.into()), Self::Key))
    }
}

/// A key, and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) key: VerifyingKey,
    /// For people; escaped.
    pub(super) from: String,
    /// Whoever can change the log can change it, too.
    pub(super) beside_the_log: bool,
}

impl Key {
    /// The key that is given, or the one in the log's directory.
    pub(super) fn new(given: Option<KeyArgument>, directory: &Path) -> Result<Self, Failure> {
        let path = match given {
            Some(KeyArgument::Key(key)) => {
                return Ok(Self { key, from: "the command line".to_owned(), beside_the_log: false });
            }
            Some(KeyArgument::File(path)) => path,
            None => directory.join(PUBLIC_KEY),
        };
        let key = read(&path)?;
        let parent = |path: &Path| path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
        let beside_the_log = parent(&path) == directory.canonicalize().ok();
        Ok(Self { key, from: escaped(&path), beside_the_log })
    }

    /// Where it comes from, in a proof's case: there it must be given.
    pub(super) fn given(argument: &KeyArgument) -> Result<VerifyingKey, Failure> {
        match argument {
            KeyArgument::Key(key) => Ok(key.clone()),
            KeyArgument::File(path) => read(path),
        }
    }
}

fn read(path: &Path) -> Result<VerifyingKey, Failure> {
    let text = text(path)?;
    text.parse().map_err(|error| {
        let why = with_causes(&error);
        Failure::Audit(format!(
            "read the public key {}: {why}; a key is NAME+ID+BASE64, as in {PUBLIC_KEY}",
            escaped(path)
        ))
    })
}

/// Checkpoints that somebody has kept: one, or a file of them.
pub(super) fn checkpoints(path: &Path, key: &VerifyingKey) -> Result<Vec<Signed>, Failure> {
    let text = text(path)?;
    let wrong = |why: String| Failure::Audit(format!("use the checkpoint {}: {why}", escaped(path)));
    let error = match Signed::parse(&text, key) {
        Ok(note) => return Ok(vec![note]),
        Err(error) => error,
    };
    match trust::format::checkpoints(text.as_bytes(), key) {
        Ok(found) if !found.notes.is_empty() && found.torn == 0 => Ok(found.notes),
        Ok(_) => Err(wrong(with_causes(&error))),
        Err(finding) => Err(wrong(with_causes(&finding))),
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    let failed = |source| Failure::File { attempt: "read", path: escaped(path), source };
    std::fs::read_to_string(path).map_err(failed)
}
