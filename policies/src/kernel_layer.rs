//! Layers of the confinement that older kernels lack, and that a policy may do without.

use std::fmt;

use serde::Deserialize;

/// A layer, in the order in which the kernel got them. Every agent has it where the kernel does; where the kernel does
/// not, only an agent whose policy names it under `optional_layers` starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelLayer {
    /// Landlock refuses to shorten files that may only be read (ABI 3, Linux 6.2).
    LandlockTruncate,
    /// Memory that is a file cannot be executed (`vm.memfd_noexec`, Linux 6.3).
    MemfdNoexec,
    /// Landlock refuses requests to devices (ABI 5, Linux 6.10).
    LandlockIoctl,
    /// Landlock refuses signals to and abstract sockets of others (ABI 6, Linux 6.12).
    LandlockScope,
}

impl KernelLayer {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::LandlockTruncate, Self::MemfdNoexec, Self::LandlockIoctl, Self::LandlockScope];

    /// The word in the language.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::LandlockTruncate => "landlock_truncate",
            Self::MemfdNoexec => "memfd_noexec",
            Self::LandlockIoctl => "landlock_ioctl",
            Self::LandlockScope => "landlock_scope",
        }
    }

    /// The first kernel that has it.
    #[must_use]
    pub fn since(self) -> &'static str {
        match self {
            Self::LandlockTruncate => "Linux 6.2",
            Self::MemfdNoexec => "Linux 6.3",
            Self::LandlockIoctl => "Linux 6.10",
            Self::LandlockScope => "Linux 6.12",
        }
    }
}

impl fmt::Display for KernelLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
