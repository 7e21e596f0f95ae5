//! What is tried with hostile bytes; see `agentosd::fuzzing`, which does the same for the daemon.

/// An archive that somebody wants to import.
pub fn tar(bytes: &[u8]) {
    crate::tar::tried::hostile(bytes);
}
