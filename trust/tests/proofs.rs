//! Promise: what is proved convinces an independent verifier, written after the RFC and the format's description only.

#[allow(dead_code, reason = "each test file uses its own part")]
mod history;

use history::{append, options, said, segments};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use trust::log::{Log, ProveError, ReadError, Retention, prove_consistency, prove_inclusion, verify};
use trust::note::{Signed, VerifyingKey};
use trust::proofs::{Consistency, Inclusion};

const BYTES: u64 = 600;

/// A closed log whose oldest segments were retired, and a checkpoint for every third record.
struct Old {
    place: tempfile::TempDir,
    key: VerifyingKey,
    oldest: u64,
    checkpoints: Vec<Signed>,
}

impl Old {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let rule = Retention { segments: Some(6), ..Retention::default() };
        let (log, _) = Log::open(place.path(), options(BYTES, rule)).expect("a new log");
        let mut checkpoints = Vec::new();
        for number in (0..45).step_by(3) {
            append(&log, number..number + 3);
            checkpoints.extend(log.checkpoint().expect("there is room"));
        }
        let key = log.key().clone();
        log.close().expect("there is room");
        let report = verify(place.path(), &key, &checkpoints).unwrap_or_else(|error| panic!("{}", said(&error)));
        assert!(report.oldest > 10 && report.older > 0 && report.is_whole(), "{report:?}");
        Self { oldest: report.oldest, place, key, checkpoints }
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).expect("our own file");
        path
    }

    /// The verifier in Python.
    fn python(&self, what: &str, files: &[&Path]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/audit/verify.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(what).arg(self.key.to_string()).args(files);
        command.output().expect("python3 is installed")
    }
}

fn accepted(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || text.starts_with("verify.py: "), "it judges and does not crash: {text}");
    output.status.success()
}

#[test]
fn every_record_that_is_kept_is_proved_and_no_other() {
    let old = Old::new();
    for seq in old.oldest..45 {
        let (proof, record) =
            prove_inclusion(old.path(), &old.key, seq, None).unwrap_or_else(|e| panic!("{}", said(&e)));
        assert_eq!(record.seq, seq);
        assert_eq!(Inclusion::parse(&proof.text(), &old.key).expect("our own text"), proof);
        assert!(proof.verify(record.line().replace("denial", "Denial").as_bytes()).is_err());
        let (latest, _) = prove_inclusion(old.path(), &old.key, seq, Some(45)).expect("it is signed");
        assert_eq!(latest.verify(record.line().as_bytes()), Ok(()));
    }
    let error = prove_inclusion(old.path(), &old.key, old.oldest - 1, None).expect_err("it is retired");
    assert!(matches!(error, ProveError::Read(ReadError::Retired { .. })), "{}", said(&error));
    let error = prove_inclusion(old.path(), &old.key, 45, None).expect_err("it is not there");
    assert!(said(&error).contains("no checkpoint of the log has more than 45 records"), "{}", said(&error));
}

#[test]
fn a_log_is_proved_to_have_only_grown_since_any_checkpoint_of_what_is_kept() {
    let old = Old::new();
    let mut proved = 0;
    for checkpoint in old.checkpoints.iter().map(Signed::checkpoint).filter(|content| content.size >= old.oldest) {
        let proof =
            prove_consistency(old.path(), &old.key, checkpoint.size, None).unwrap_or_else(|e| panic!("{}", said(&e)));
        assert_eq!(Consistency::parse(&proof.text(), &old.key).expect("our own text"), proof);
        assert_eq!(proof.verify(checkpoint.root), Ok(()));
        assert!(proof.verify(trust::tree::Hash::empty()).is_err());
        proved += 1;
    }
    assert!(proved > 5, "{proved}");
}

#[test]
fn a_changed_log_proves_nothing() {
    let old = Old::new();
    let path = &segments(old.path())[0];
    let text = fs::read_to_string(path).expect("our own file");
    fs::write(path, text.replace("denial", "Denial")).expect("our own file");
    let error = prove_inclusion(old.path(), &old.key, old.oldest, None).expect_err("it was changed");
    assert!(said(&error).contains("not those that were sealed"), "{}", said(&error));
}

#[test]
fn an_independent_verifier_accepts_what_is_right_and_nothing_else() {
    let old = Old::new();
    assert!(accepted(&old.python("log", &[old.path()])), "{:?}", old.python("log", &[old.path()]));
    for seq in [old.oldest, old.oldest + 1, 30, 43, 44] {
        let size = if seq % 2 == 0 { Some(45) } else { None };
        let (proof, record) = prove_inclusion(old.path(), &old.key, seq, size).expect("it is signed");
        let proof = old.file("proof", proof.text());
        assert!(accepted(&old.python("inclusion", &[&old.file("record", record.line()), &proof])), "record {seq}");
        let other = old.file("record", record.line().replace("denial", "Denial"));
        assert!(!accepted(&old.python("inclusion", &[&other, &proof])), "record {seq}");
    }
    for checkpoint in old.checkpoints.iter().rev().take(6) {
        let size = checkpoint.checkpoint().size;
        let proof = prove_consistency(old.path(), &old.key, size, None).expect("it is kept").text();
        let note = old.file("checkpoint", checkpoint.text());
        let right = old.python("consistency", &[&note, &old.file("proof", &proof)]);
        assert!(accepted(&right), "{size}: {right:?}");
        // Another hash, where there is one; another signature.
        let first = proof.lines().nth(1).filter(|line| !line.is_empty());
        let zero = trust::tree::Hash::empty().to_string();
        let changed =
            first.map_or(proof.replace("\n\n", &format!("\n{zero}\n\n")), |hash| proof.replacen(hash, &zero, 1));
        assert!(!accepted(&old.python("consistency", &[&note, &old.file("proof", changed)])), "{size}");
    }
    let path = &segments(old.path())[2];
    let text = fs::read_to_string(path).expect("our own file");
    fs::write(path, text.replacen("denial", "Denial", 1)).expect("our own file");
    assert!(!accepted(&old.python("log", &[old.path()])));
    let notes = fs::read_to_string(old.path().join("checkpoints")).expect("our own file");
    fs::write(path, text).expect("our own file");
    assert!(accepted(&old.python("log", &[old.path()])));
    fs::write(old.path().join("checkpoints"), notes.replacen("\n45\n", "\n44\n", 1)).expect("our own file");
    assert!(!accepted(&old.python("log", &[old.path()])));
}
