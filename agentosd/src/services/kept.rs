//! What is known of an agent with a file over a restart of the daemon, until the host boots: that it stays ended, which of
//! its runs nobody has decided about, and how often it was started again. A file each, replaced as a whole.

use super::directory::Spec;
use super::restart::History;
use crate::journal;
use crate::store::{read_file, replace, set_aside};
use protocol::ids::{AgentId, AgentName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The version that is written. A newer one is left alone, and what it holds is not known.
const VERSION: u32 = 1;
/// Where the kernel tells which boot this is (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What is known of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Why it stays ended.
    pub(super) ended: Option<String>,
    /// The run that was started last, until it is decided what follows its end.
    pub(super) run: Option<AgentId>,
    /// Its restarts.
    pub(super) history: History,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// What is known holds for this boot of the host alone: at the next one everything starts.
    boot: String,
    /// The SHA-256 of the file's text: for another text nothing is known.
    file: String,
    known: Known,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Keeping {
    directory: PathBuf,
    boot: String,
}

impl Keeping {
    /// In this directory, which is made when there is something to keep.
    pub(super) fn new(directory: PathBuf) -> Self {
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Self { directory, boot }
    }

    fn path(&self, name: &AgentName) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    /// What is known of one whose file says what it said.
    pub(super) fn of(&self, name: &AgentName, spec: &Spec) -> Known {
        let path = self.path(name);
        let text = match read_file(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Known::default(),
            // No text at all is damaged, too.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Vec::new(),
            Err(error) => {
                journal::warning(format_args!("cannot read {}: {error}", path.display()));
                return Known::default();
            }
        };
        match parse(&text) {
            Ok(Some(Kept { boot, file, known, .. })) if boot == self.boot && file == spec.digest => known,
            Ok(_) => Known::default(),
            Err(error) => {
                if let Err(error) = set_aside(&path, &error.to_string()) {
                    journal::warning(format_args!("{}", journal::sentence(&error)));
                }
                Known::default()
            }
        }
    }

    /// Writes it down. What cannot be written is said, and then not known to the next daemon.
    pub(super) fn keep(&self, name: &AgentName, (spec, known): (&Spec, &Known)) {
        let kept = Kept { version: VERSION, boot: self.boot.clone(), file: spec.digest.clone(), known: known.clone() };
        let written = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
            replace(&self.path(name), &serde_json::to_vec(&kept)?)
        };
        if let Err(error) = written() {
            journal::warning(format_args!(
                "cannot keep what is known of the agent {name} for the next daemon: {error}"
            ));
        }
    }

    /// Begins anew.
    pub(super) fn forget(&self, name: &AgentName) {
        remove(&self.path(name));
    }

    /// Forgets all without a file.
    pub(super) fn retain(&self, there: &BTreeSet<String>) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if path.extension().is_some_and(|end| end == "json") && stem.is_none_or(|stem| !there.contains(stem)) {
                remove(&path);
            }
        }
    }
}

/// `None`: it is a newer daemon's.
fn parse(text: &[u8]) -> serde_json::Result<Option<Kept>> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(text)?;
    if version > VERSION { Ok(None) } else { serde_json::from_slice(text).map(Some) }
}

/// What is read, written, and what that is read as; for the fuzzer, which knows nothing of the type.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn twice(bytes: &[u8]) -> Option<[Vec<u8>; 2]> {
    let written = |kept: &Kept| serde_json::to_vec(kept).expect("what is kept is text");
    let once = written(&parse(bytes).ok()??);
    let again = parse(&once).expect("what was written").expect("no newer version");
    Some([once, written(&again)])
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            journal::warning(format_args!("cannot remove {}: {error}", path.display()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::AgentFile;
    use super::*;
    use crate::caller::Caller;

    fn spec(digest: &str) -> Spec {
        let caller = Caller { uid: 0, gid: 0, groups: Vec::new(), pid: 1 };
        Spec { file: AgentFile::parse("command: [x]\n").unwrap(), caller, digest: digest.to_owned() }
    }

    #[test]
    fn it_holds_for_the_boot_and_the_file_and_what_is_damaged_is_set_aside() {
        let place = tempfile::tempdir().unwrap();
        let keeping = Keeping::new(place.path().join("services"));
        let name = AgentName::parse("a").unwrap();
        let known = Known { ended: Some("an operator ended it".to_owned()), run: Some(AgentId(7)), ..Known::default() };
        assert_eq!(keeping.of(&name, &spec("x")), Known::default());
        keeping.keep(&name, (&spec("x"), &known));
        assert_eq!(keeping.of(&name, &spec("x")), known);
        assert_eq!(keeping.of(&name, &spec("y")), Known::default(), "the file was changed");
        let booted = Keeping { boot: "another".to_owned(), ..keeping.clone() };
        assert_eq!(booted.of(&name, &spec("x")), Known::default(), "the host was booted");
        let path = place.path().join("services/a.json");
        let newer = fs::read_to_string(&path).unwrap().replace("\"version\":1", "\"version\":2");
        fs::write(&path, &newer).unwrap();
        assert_eq!(keeping.of(&name, &spec("x")), Known::default());
        assert_eq!(fs::read_to_string(&path).unwrap(), newer, "a newer daemon's is left alone");
        fs::write(&path, &newer[..20]).unwrap();
        assert_eq!(keeping.of(&name, &spec("x")), Known::default());
        assert!(place.path().join("services/a.json.damaged-1").exists());
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert_eq!(keeping.of(&name, &spec("x")), Known::default(), "nobody waits for its writer");
        assert!(place.path().join("services/a.json.damaged-2").exists());
        keeping.keep(&name, (&spec("x"), &known));
        keeping.retain(&BTreeSet::from(["a".to_owned()]));
        assert_eq!(keeping.of(&name, &spec("x")), known);
        keeping.retain(&BTreeSet::new());
        assert_eq!(keeping.of(&name, &spec("x")), Known::default(), "its file is gone");
    }
}
