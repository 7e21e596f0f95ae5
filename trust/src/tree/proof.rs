//! Inclusion (audit paths, RFC 6962 section 2.1.1) and consistency (section 2.1.2): which subtrees prove it, and checking.

use super::Hash;
use std::ops::Range;

/// Hashes that prove something, in the order of the RFC.
pub type Proof = Vec<Hash>;

/// Why a proof does not prove.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProofError {
    /// There is nothing to prove.
    #[error("{index} is not below the size {size}")]
    Outside {
        /// The leaf, or the older size.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// Hashes are missing or too many.
    #[error("the proof has {found} hashes instead of {expected}")]
    Length {
        /// How many such a proof has.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// It proves another root.
    #[error("the proof leads to the root {found} and not to {expected} of the tree of {size}")]
    Root {
        /// Of which size.
        size: u64,
        /// What it should be.
        expected: Hash,
        /// What it is.
        found: Hash,
    },
}

/// The largest power of two below `size`, which is at least 2: where a tree divides.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The leaves of each subtree that proves the leaf `index` in a tree of `size`, from the leaf's sibling upwards.
///
/// # Errors
/// [`ProofError::Outside`].
pub fn inclusion(index: u64, size: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if index >= size {
        return Err(ProofError::Outside { index, size });
    }
    let (mut ranges, mut tree) = (Vec::new(), 0..size);
    while tree.end - tree.start > 1 {
        let middle = tree.start + split(tree.end - tree.start);
        if index < middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
        }
    }
    ranges.reverse();
    Ok(ranges)
}

/// The leaves of each subtree that proves that a tree of `size` begins with the tree of `old` leaves; from the lowest
/// upwards. None for an empty old tree and for the same tree.
///
/// # Errors
/// [`ProofError::Outside`] when `old` is larger.
pub fn consistency(old: u64, size: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if old > size {
        return Err(ProofError::Outside { index: old, size });
    }
    if old == 0 || old == size {
        return Ok(Vec::new());
    }
    let (mut ranges, mut tree) = (Vec::new(), 0..size);
    while tree.end != old {
        let middle = tree.start + split(tree.end - tree.start);
        if old <= middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
        }
    }
    // A verifier has the old root; only a part of it has to be told.
    if tree.start > 0 {
        ranges.push(tree);
    }
    ranges.reverse();
    Ok(ranges)
}

/// Checks that `leaf` is the leaf `index` of the tree of `size` with that `root`.
///
/// # Errors
/// Why not.
pub fn verify_inclusion(leaf: Hash, index: u64, (size, root): (u64, Hash), proof: &[Hash]) -> Result<(), ProofError> {
    let ranges = inclusion(index, size)?;
    same_length(ranges.len(), proof)?;
    let found = ranges.iter().zip(proof).fold(leaf, |hash, (range, sibling)| {
        if range.start > index { Hash::node(&hash, sibling) } else { Hash::node(sibling, &hash) }
    });
    same_root(size, root, found)
}

/// Checks that the tree of the size and root `new` begins with the tree of the size and root `old`.
///
/// # Errors
/// Why not.
pub fn verify_consistency(old: (u64, Hash), new: (u64, Hash), proof: &[Hash]) -> Result<(), ProofError> {
    let ranges = consistency(old.0, new.0)?;
    same_length(ranges.len(), proof)?;
    if old.0 == 0 {
        return same_root(0, old.1, Hash::empty());
    }
    let mut told = ranges.iter().zip(proof);
    // The proof begins with a part that both trees have: told, unless it is the whole old tree.
    let begin = match ranges.first() {
        Some(range) if range.end == old.0 => told.next().map_or(old.1, |(_, hash)| *hash),
        _ => old.1,
    };
    let (mut in_old, mut in_new) = (begin, begin);
    for (range, hash) in told {
        if range.start >= old.0 {
            in_new = Hash::node(&in_new, hash);
        } else {
            in_old = Hash::node(hash, &in_old);
            in_new = Hash::node(hash, &in_new);
        }
    }
    same_root(old.0, old.1, in_old)?;
    same_root(new.0, new.1, in_new)
}

fn same_length(expected: usize, proof: &[Hash]) -> Result<(), ProofError> {
    if proof.len() == expected { Ok(()) } else { Err(ProofError::Length { expected, found: proof.len() }) }
}

fn same_root(size: u64, expected: Hash, found: Hash) -> Result<(), ProofError> {
    if expected == found { Ok(()) } else { Err(ProofError::Root { size, expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::super::{Frontier, Nodes};
    use super::*;

    fn leaf(index: u64) -> Hash {
        Hash::leaf(&index.to_be_bytes())
    }

    fn tree(size: u64) -> Frontier {
        let mut tree = Frontier::empty();
        (0..size).for_each(|index| tree.push(leaf(index)));
        tree
    }

    /// The hashes, where only the leaves from `first` on are still there.
    fn hashes(ranges: &[Range<u64>], first: u64, size: u64) -> Proof {
        let mut nodes = Nodes::new(ranges, &tree(first));
        (first..size).for_each(|index| nodes.push(leaf(index)));
        nodes.finish().expect("all are found")
    }

    #[test]
    fn every_leaf_of_every_tree_is_proved_also_when_older_leaves_are_gone() {
        for size in 1..34 {
            let root = tree(size).root();
            for index in 0..size {
                for first in 0..=index {
                    let proof = hashes(&inclusion(index, size).unwrap(), first, size);
                    assert_eq!(verify_inclusion(leaf(index), index, (size, root), &proof), Ok(()));
                    for wrong in (0..size).filter(|wrong| *wrong != index) {
                        assert!(verify_inclusion(leaf(index), wrong, (size, root), &proof).is_err());
                        assert!(verify_inclusion(leaf(wrong), index, (size, root), &proof).is_err());
                    }
                }
            }
        }
        assert!(inclusion(3, 3).is_err());
    }

    #[test]
    fn every_tree_is_proved_to_begin_with_every_smaller_one() {
        for size in 0..34 {
            let root = tree(size).root();
            for old in 0..=size {
                let old_root = tree(old).root();
                for first in 0..=old {
                    let proof = hashes(&consistency(old, size).unwrap(), first, size);
                    assert_eq!(verify_consistency((old, old_root), (size, root), &proof), Ok(()), "{old} {size}");
                    let other = Hash::leaf(b"other");
                    assert!(verify_consistency((old, other), (size, root), &proof).is_err(), "{old} {size}");
                    assert!(old == 0 || verify_consistency((old, old_root), (size, other), &proof).is_err());
                    for changed in 0..proof.len() {
                        let mut proof = proof.clone();
                        proof[changed] = other;
                        assert!(verify_consistency((old, old_root), (size, root), &proof).is_err());
                    }
                }
            }
        }
        assert!(consistency(4, 3).is_err());
    }

    #[test]
    fn proofs_are_those_of_the_rfcs_example() {
        // Section 2.1.3: the tree of seven leaves.
        assert_eq!(inclusion(0, 7).unwrap(), [1..2, 2..4, 4..7]);
        assert_eq!(inclusion(3, 7).unwrap(), [2..3, 0..2, 4..7]);
        assert_eq!(inclusion(4, 7).unwrap(), [5..6, 6..7, 0..4]);
        assert_eq!(inclusion(6, 7).unwrap(), [4..6, 0..4]);
        assert_eq!(consistency(3, 7).unwrap(), [2..3, 3..4, 0..2, 4..7]);
        assert_eq!(consistency(4, 7).unwrap(), vec![4..7]);
        assert_eq!(consistency(6, 7).unwrap(), [4..6, 6..7, 0..4]);
    }
}
