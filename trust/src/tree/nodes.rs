//! The hashes of chosen subtrees, found while leaves pass by: memory for the answer only, whatever the tree's size.

use super::frontier::{Frontier, fold, full_subtrees};
use super::{Hash, Proof};
use std::collections::HashMap;
use std::ops::Range;

/// A search for the subtrees of a proof.
#[derive(Debug)]
pub struct Nodes {
    wanted: Vec<Range<u64>>,
    /// By height and number; the ranges at a tree's right edge are made of several full ones.
    found: HashMap<(u32, u64), Option<Hash>>,
    tree: Frontier,
}

impl Nodes {
    /// Looks for the subtrees over `ranges`, as [`inclusion`](super::inclusion) and [`consistency`](super::consistency)
    /// name them, in a tree of which `before` is known already. What comes must be all from there on.
    #[must_use]
    pub fn new(ranges: &[Range<u64>], before: &Frontier) -> Self {
        let parts = ranges.iter().flat_map(|range| full_subtrees(range.start, range.end));
        let mut found: HashMap<_, _> = parts.map(|part| (part, None)).collect();
        for (height, number, hash) in before.subtrees() {
            found.entry((height, number)).and_modify(|entry| *entry = Some(hash));
        }
        Self { wanted: ranges.to_vec(), found, tree: before.clone() }
    }

    /// The next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let found = &mut self.found;
        self.tree.push_seeing(leaf, |height, number, hash| {
            if let Some(entry) = found.get_mut(&(height, number)) {
                *entry = Some(hash);
            }
        });
    }

    /// The tree as far as it has come.
    #[must_use]
    pub fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// The hashes in the order of the ranges; `None` when the leaves did not suffice.
    #[must_use]
    pub fn finish(self) -> Option<Proof> {
        let hash = |range: &Range<u64>| {
            let parts = full_subtrees(range.start, range.end).map(|part| self.found.get(&part).copied().flatten());
            fold(&parts.collect::<Option<Vec<_>>>()?)
        };
        self.wanted.iter().map(hash).collect()
    }
}
