//! The Merkle tree of RFC 6962 section 2.1 over SHA-256: hashes, the compact form of a tree, and proofs. Pure.

mod frontier;
mod hash;
mod nodes;
mod proof;

pub use frontier::{Frontier, FrontierError};
pub use hash::{BadHash, Hash};
pub use nodes::Nodes;
pub use proof::{Proof, ProofError, consistency, inclusion, verify_consistency, verify_inclusion};
