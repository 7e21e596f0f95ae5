//! A log that is there before any command looks at it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tests::{binary, stdout, succeeded};

/// How many records it has.
pub(crate) const RECORDS: u64 = 40;

/// A closed log in several segments, with a checkpoint after every fifth record, and its key kept elsewhere.
pub(crate) struct History {
    place: tempfile::TempDir,
}

impl History {
    pub(crate) fn new() -> Self {
        let history = Self { place: tempfile::tempdir().expect("a directory") };
        history.append((0..RECORDS).map(record));
        fs::copy(history.path().join("signing.vkey"), history.key()).expect("our own file");
        assert!(history.segments().len() > 4, "{:?}", history.segments());
        history
    }

    /// The log's directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.beside("log")
    }

    /// A path outside of it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The public key that was kept.
    pub(crate) fn key(&self) -> PathBuf {
        self.beside("kept.vkey")
    }

    /// Seals more.
    pub(crate) fn append(&self, bodies: impl Iterator<Item = String>) {
        let mut sealer = Command::new(binary("sealer"));
        sealer.arg("append").arg(self.path()).args(["--segment", "2400", "--checkpoint", "100000"]);
        let mut child =
            sealer.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sealer");
        let text: String = bodies.map(|body| body + "\n").collect();
        child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
        drop(succeeded(child.wait_with_output().expect("our own child")));
    }

    /// Paths of the segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path()).expect("a directory").map(|entry| entry.expect("an entry").path());
        let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
        found.sort();
        found
    }

    /// `agentctl audit …` on its files.
    pub(crate) fn audit(&self, words: &[&str]) -> Output {
        self.audit_in(&self.path(), words)
    }

    /// The same on a directory; no daemon answers.
    pub(crate) fn audit_in(&self, directory: &Path, words: &[&str]) -> Output {
        let mut agentctl = Command::new(binary("agentctl"));
        agentctl.args(["--socket", "/nonexistent", "audit"]).args(words).arg("--dir").arg(directory);
        agentctl.stdin(Stdio::null()).output().expect("agentctl can be started")
    }

    /// `agentctl audit verify` with the key that was kept.
    pub(crate) fn verify(&self, more: &[&str]) -> Output {
        let key = self.key();
        let words = ["verify", "--key", key.to_str().expect("our own path")];
        self.audit(&[&words[..], more].concat())
    }

    /// What is printed, when all goes well.
    pub(crate) fn lines(&self, words: &[&str]) -> Vec<String> {
        stdout(&succeeded(self.audit(words))).lines().map(str::to_owned).collect()
    }

    /// Every checkpoint as a note of its own.
    pub(crate) fn checkpoints(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path().join("checkpoints")).expect("our own file");
        let parts: Vec<&str> = text.split("\n\n").filter(|part| !part.is_empty()).collect();
        parts.chunks(2).map(|note| format!("{}\n\n{}\n", note[0], note[1])).collect()
    }
}

/// The body of a record as agentosd writes it.
fn record(number: u64) -> String {
    let agent = if number.is_multiple_of(3) { "scout" } else { "other" };
    let (kind, decision) = if number.is_multiple_of(2) { ("decision", "deny") } else { ("signal", "allow") };
    format!(
        r#"{{"kind":"{kind}","agent":{{"name":"{agent}","id":1,"uid":700001,"owner":0}},"attempted":"file_read /data/{number}","decision":"{decision}","reason":"nothing_granted","action":"file_read","request":["path=/data/{number}"]}}"#
    )
}

/// Changes a file's lines.
pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(path).expect("our own file");
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    change(&mut lines);
    fs::write(path, lines.concat()).expect("our own file");
}
