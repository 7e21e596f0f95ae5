//! A tree of any size in at most 64 hashes: the roots of its largest full subtrees, left to right.
//!
//! ```text
//!   7 leaves:   a b c d | e f | g      one subtree for each 1 in 0b111
//!                  4       2    1
//! ```
//! That is enough to add leaves, to know the root, and to prove every later leaf, without any leaf that is in it. A
//! segment begins with it, so that what is before may be removed. (Also known as the compact range of the tree.)

use super::Hash;

/// The largest full subtrees of the tree over the first [`size`](Self::size) leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

/// Hashes that are no frontier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a tree of {size} leaves has {expected} full subtrees, but {found} hashes are given")]
pub struct FrontierError {
    size: u64,
    expected: u32,
    found: usize,
}

impl Frontier {
    /// A tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, nodes: Vec::new() }
    }

    /// The frontier of a tree of `size` leaves. Whether the hashes are right shows at the next checkpoint.
    ///
    /// # Errors
    /// [`FrontierError`] when their number is not the number of ones in `size`.
    pub fn from_parts(size: u64, nodes: Vec<Hash>) -> Result<Self, FrontierError> {
        let expected = size.count_ones();
        if u32::try_from(nodes.len()) != Ok(expected) {
            return Err(FrontierError { size, expected, found: nodes.len() });
        }
        Ok(Self { size, nodes })
    }

    /// How many leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes, that of the largest subtree first.
    #[must_use]
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_seeing(leaf, |_, _, _| ());
    }

    /// Adds a leaf and shows each subtree that becomes full by it: its height, its number among those of that height, its
    /// hash. The leaf itself has height 0.
    pub fn push_seeing(&mut self, leaf: Hash, mut see: impl FnMut(u32, u64, Hash)) {
        let mut hash = leaf;
        see(0, self.size, hash);
        for height in 0..self.size.trailing_ones() {
            // A 1 in the size is a hash in the list.
            if let Some(left) = self.nodes.pop() {
                hash = Hash::node(&left, &hash);
                see(height + 1, self.size >> (height + 1), hash);
            }
        }
        self.nodes.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold(&self.nodes).unwrap_or_else(Hash::empty)
    }

    /// Each subtree: its height, its number among those of that height, its hash.
    pub fn subtrees(&self) -> impl Iterator<Item = (u32, u64, Hash)> + '_ {
        full_subtrees(0, self.size).zip(&self.nodes).map(|((height, number), hash)| (height, number, *hash))
    }
}

/// The hash over subtrees of which each is larger than the next, left to right.
pub(super) fn fold(nodes: &[Hash]) -> Option<Hash> {
    let (last, rest) = nodes.split_last()?;
    Some(rest.iter().rfold(*last, |right, left| Hash::node(left, &right)))
}

/// The largest full subtrees that make up the leaves `start..end`, where `start` is a multiple of what each is large:
/// heights and numbers, left to right.
pub(super) fn full_subtrees(start: u64, end: u64) -> impl Iterator<Item = (u32, u64)> {
    let mut at = start;
    std::iter::from_fn(move || {
        let height = (end - at).checked_ilog2()?;
        let number = at >> height;
        at += 1 << height;
        Some((height, number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 6962 section 2.1, word for word.
    fn merkle_tree_hash(leaves: &[Vec<u8>]) -> Hash {
        match leaves.len() {
            0 => Hash::empty(),
            1 => Hash::leaf(&leaves[0]),
            n => {
                let k = n.next_power_of_two() / 2;
                Hash::node(&merkle_tree_hash(&leaves[..k]), &merkle_tree_hash(&leaves[k..]))
            }
        }
    }

    proptest! {
        #[test]
        fn the_root_is_that_of_the_rfc(leaves in proptest::collection::vec(any::<Vec<u8>>(), 0..40)) {
            let mut frontier = Frontier::empty();
            for (count, leaf) in leaves.iter().enumerate() {
                prop_assert_eq!(frontier.root(), merkle_tree_hash(&leaves[..count]));
                frontier.push(Hash::leaf(leaf));
            }
            prop_assert_eq!(frontier.root(), merkle_tree_hash(&leaves));
            prop_assert_eq!(Frontier::from_parts(frontier.size(), frontier.nodes().to_vec()), Ok(frontier));
        }
    }

    #[test]
    fn the_published_roots_come_out() {
        // Test vectors of the Certificate Transparency project for these eight leaves.
        let leaves: [&[u8]; 8] = [
            &[],
            &[0],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let mut frontier = Frontier::empty();
        leaves.iter().for_each(|leaf| frontier.push(Hash::leaf(leaf)));
        let hex: String = frontier.root().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn a_frontier_of_another_size_is_refused() {
        assert!(Frontier::from_parts(3, vec![Hash::empty()]).is_err());
        assert!(Frontier::from_parts(0, vec![Hash::empty()]).is_err());
        assert!(Frontier::from_parts(0, vec![]).is_ok());
    }
}
