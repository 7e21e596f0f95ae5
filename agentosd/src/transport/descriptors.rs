//! Descriptors as a peer sent them, of which nobody knows yet what they are.

use super::turn::aside;
use std::os::fd::OwnedFd;

/// Descriptors of unknown kind.
///
/// The file may lie in a file system that the peer itself serves (FUSE): then close(2) waits for the peer (its FLUSH), and
/// fstat(2) and fstatfs(2) may. So they are closed [`aside`], where only the peer's own user waits, and whoever takes them
/// out looks at them without asking their file system.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Vec<OwnedFd>);

impl Descriptors {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn extend(&mut self, more: impl IntoIterator<Item = OwnedFd>) {
        self.0.extend(more);
    }

    /// Each as it was sent, to be looked at.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &OwnedFd> {
        self.0.iter()
    }

    /// Takes them out, when it is known that closing them does not wait.
    pub(crate) fn into_known(mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.0)
    }
}

impl FromIterator<OwnedFd> for Descriptors {
    fn from_iter<I: IntoIterator<Item = OwnedFd>>(fds: I) -> Self {
        Self(fds.into_iter().collect())
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            aside(|| self.0.clear());
        }
    }
}
