//! Files beneath a root: read, written, removed, listed.
//!
//! ```text
//!   root ── openat2(RESOLVE_BENEATH) ──► the file, or its directory and a name in it
//!                                         └── everything later goes by these descriptors
//! ```
//! Links beneath the root are followed as long as they stay beneath it; absolute ones never do.

mod beneath;
mod delete;
mod list;
mod preview;
mod read;
mod state;
mod write;

pub(crate) use delete::Deletion;
pub(crate) use list::Listing;
pub(crate) use read::Reading;
pub(crate) use write::Writing;
