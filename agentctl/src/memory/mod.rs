//! `memory`: what a name remembers, listed, shown, saved, restored and removed.
//!
//! ```text
//!   agentctl ── OpenMemory, RestoreMemory ──► agentosd ──► agentos-vfs serves a mount that is attached to no path
//!       │    ◄── the descriptor of its root ──┘
//!       ├──► ls, cat
//!       ├──► export: tree ──► Source ──► tar::Writer
//!       └──► import: tar::Reader ──► Sink ──► an empty tree, which then takes the old one's place as a whole
//! ```
//! Archives and file names are hostile and meet nobody but this process, which has no more rights than its user; the
//! daemon sees neither.

mod export;
mod forget;
mod import;
mod listing;
mod opened;
mod path;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

use crate::cli::memory as cli;
use crate::failure::Failure;
use std::path::Path;

/// `agentctl memory …`.
pub(crate) fn memory(socket: &Path, command: cli::Memory) -> Result<u8, Failure> {
    match command {
        cli::Memory::Ls(ls) => listing::ls(socket, ls),
        cli::Memory::Cat(cat) => listing::cat(socket, &cat),
        cli::Memory::Export(export) => export::export(socket, &export),
        cli::Memory::Import(import) => import::import(socket, &import),
        cli::Memory::Rm(rm) => forget::rm(socket, &rm),
    }
}
