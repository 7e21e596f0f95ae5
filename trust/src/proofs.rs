//! Proofs for somebody who has only the log's public key, as text and as JSON. Pure.
//!
//! ```text
//!   c2sp.org/tlog-proof@v1                          old 1024
//!   index 4711                                      CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//!   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=    …
//!   …
//!                                                   host.example/agentos-audit
//!   host.example/agentos-audit                      …
//!   …
//! ```
//! On the left an inclusion proof (C2SP tlog-proof); on the right a consistency proof (as C2SP tlog-witness sends it to a
//! witness). Both end with the checkpoint that they lead to.

use crate::note::{CheckpointError, Signed, VerifyingKey, decimal};
use crate::tree::{self, Hash, Proof, ProofError};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The first line of an inclusion proof.
const INCLUSION: &str = "c2sp.org/tlog-proof@v1";

/// One record is in the log that a checkpoint has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The record's number.
    pub index: u64,
    /// From the leaf's sibling upwards.
    pub path: Proof,
    /// Of a log with more than `index` records.
    pub checkpoint: Signed,
}

/// A log has only been added to since it had `old` records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// The older size.
    pub old: u64,
    /// In the order of RFC 6962 section 2.1.2.
    pub path: Proof,
    /// Of the newer log.
    pub checkpoint: Signed,
}

/// A text that is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofTextError {
    /// A line is not what it must be.
    #[error("read the proof: line {line} is no {expected}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What it must be.
        expected: &'static str,
    },
    /// What it leads to.
    #[error("read the proof's checkpoint")]
    Checkpoint(#[source] CheckpointError),
}

impl Inclusion {
    /// Checks it for a record's line with its newline, as it stands in the segment file.
    ///
    /// # Errors
    /// Why it does not prove it.
    pub fn verify(&self, line: &[u8]) -> Result<(), ProofError> {
        let checkpoint = self.checkpoint.checkpoint();
        tree::verify_inclusion(Hash::leaf(line), self.index, (checkpoint.size, checkpoint.root), &self.path)
    }

    /// As C2SP tlog-proof has it.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{INCLUSION}\nindex {}\n{}\n{}", self.index, lines(&self.path), self.checkpoint.text())
    }

    /// Reads [`text`](Self::text), and verifies the checkpoint in it.
    ///
    /// # Errors
    /// [`ProofTextError`].
    pub fn parse(text: &str, key: &VerifyingKey) -> Result<Self, ProofTextError> {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        if first != INCLUSION {
            return Err(ProofTextError::Line { line: 1, expected: "name of the format" });
        }
        let (index, path, checkpoint) = parse(rest, ("index ", 2), key)?;
        Ok(Self { index, path, checkpoint })
    }

    /// The same for programs, with the record's line.
    #[must_use]
    pub fn json(&self, line: &str) -> Value {
        let mut value = json(&self.path, &self.checkpoint);
        value["index"] = self.index.into();
        value["leaf"] = json!(Hash::leaf(line.as_bytes()));
        value["record"] = line.into();
        value
    }
}

impl Consistency {
    /// Checks it against the root that the log had when it was smaller.
    ///
    /// # Errors
    /// Why it does not prove it.
    pub fn verify(&self, old_root: Hash) -> Result<(), ProofError> {
        let checkpoint = self.checkpoint.checkpoint();
        tree::verify_consistency((self.old, old_root), (checkpoint.size, checkpoint.root), &self.path)
    }

    /// As C2SP tlog-witness has it.
    #[must_use]
    pub fn text(&self) -> String {
        format!("old {}\n{}\n{}", self.old, lines(&self.path), self.checkpoint.text())
    }

    /// Reads [`text`](Self::text), and verifies the checkpoint in it.
    ///
    /// # Errors
    /// [`ProofTextError`].
    pub fn parse(text: &str, key: &VerifyingKey) -> Result<Self, ProofTextError> {
        let (old, path, checkpoint) = parse(text, ("old ", 1), key)?;
        Ok(Self { old, path, checkpoint })
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut value = json(&self.path, &self.checkpoint);
        value["old"] = self.old.into();
        value
    }
}

fn lines(path: &[Hash]) -> String {
    path.iter().fold(String::new(), |mut text, hash| {
        // Writing into a String cannot fail.
        let written = writeln!(text, "{hash}");
        debug_assert!(written.is_ok());
        text
    })
}

fn json(path: &[Hash], checkpoint: &Signed) -> Value {
    let content = checkpoint.checkpoint();
    json!({"size": content.size, "root": content.root, "path": path, "checkpoint": checkpoint.text()})
}

/// A number after `word` on the line `number`, hashes, an empty line, a checkpoint.
fn parse(
    text: &str,
    (word, number): (&str, usize),
    key: &VerifyingKey,
) -> Result<(u64, Proof, Signed), ProofTextError> {
    let bad = |line, expected| ProofTextError::Line { line, expected };
    let (head, note) = text.split_once("\n\n").ok_or(bad(number, "proof with a checkpoint"))?;
    let (first, hashes) = head.split_once('\n').unwrap_or((head, ""));
    let index = first.strip_prefix(word).and_then(decimal).ok_or(bad(number, "number"))?;
    let hash = |(at, line): (usize, &str)| line.parse().map_err(|_| bad(number + 1 + at, "hash in base64"));
    // Not `lines`, which would take a carriage return away.
    let hashes = hashes.split('\n').filter(|_| !hashes.is_empty());
    let path = hashes.enumerate().map(hash).collect::<Result<_, _>>()?;
    Ok((index, path, Signed::parse(note, key).map_err(ProofTextError::Checkpoint)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::{Checkpoint, SigningKey};

    fn signed(size: u64, root: Hash) -> (Signed, VerifyingKey) {
        let key = SigningKey::from_seed("example.com/log".parse().unwrap(), &[3; 32]);
        let origin = key.public().name().clone();
        (Checkpoint { origin, size, root, oldest: 0 }.sign(&key), key.public().clone())
    }

    #[test]
    fn proofs_are_read_as_they_were_written() {
        let (one, two) = (Hash::leaf(b"one\n"), Hash::leaf(b"two\n"));
        let (checkpoint, key) = signed(2, Hash::node(&one, &two));
        let proof = Inclusion { index: 1, path: vec![one], checkpoint: checkpoint.clone() };
        assert_eq!(Inclusion::parse(&proof.text(), &key).unwrap(), proof);
        assert_eq!(proof.verify(b"two\n"), Ok(()));
        assert!(proof.verify(b"two").is_err());
        assert_eq!(proof.json("two\n")["leaf"], two.to_string());

        let proof = Consistency { old: 1, path: vec![two], checkpoint };
        assert_eq!(Consistency::parse(&proof.text(), &key).unwrap(), proof);
        assert_eq!(proof.verify(one), Ok(()));
        assert!(proof.verify(two).is_err());
    }

    #[test]
    fn a_proof_of_nothing_but_the_leaf_has_no_hashes() {
        let (checkpoint, key) = signed(1, Hash::leaf(b"one\n"));
        let proof = Inclusion { index: 0, path: vec![], checkpoint };
        assert_eq!(Inclusion::parse(&proof.text(), &key).unwrap(), proof);
        assert_eq!(proof.verify(b"one\n"), Ok(()));
        for (from, to) in [("index 0", "index 00"), ("index", "old"), ("@v1", "@v2"), ("\n\n", "\n")] {
            assert!(Inclusion::parse(&proof.text().replacen(from, to, 1), &key).is_err(), "{from} -> {to}");
        }
    }
}
