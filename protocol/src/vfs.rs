//! What the daemon and `agentos-vfs` say to each other, over a SOCK_SEQPACKET socket.
//!
//! A message is one packet of JSON with descriptors beside it; every order has one answer, in order, and
//! [`Answer::Ended`] may come between them. The daemon is trusted by the server and the other way round. A [`MountId`]
//! names one file system of one agent from [`Order::Serve`] to its end.
//!
//! ```text
//!   agentosd                                 agentos-vfs
//!     Hello{version}                  ──►  Welcome{version, mounts}
//!     Serve{…} + [/dev/fuse, store, working] ──►  Done        the kernel's FUSE_INIT is answered
//!     Publish{path} + [memfd]         ──►  Done
//!     Usage{mount}                    ──►  Usage{…}
//!     End{mount}                      ──►  Done        every further request of the kernel fails; counters are on disk
//!                                     ◄──  Ended{mount}       unasked: a mount that nobody had ordered to end
//! ```
//! The connection's end ends no mount: agents keep their files while there is no daemon.

use serde::{Deserialize, Serialize};

/// Version of this interface. A server that answers [`Order::Hello`] with another one is replaced.
pub const VERSION: u32 = 3;
/// Longest message in bytes.
pub const MAX_MESSAGE: usize = 64 << 10;
/// Most descriptors beside a message.
pub const MAX_FDS: usize = 3;
/// Longest published file in bytes.
pub const MAX_PUBLISHED: u64 = 16 << 20;

/// The daemon's name for one mount.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MountId(pub String);

/// What the daemon orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum Order {
    /// The first message on a connection.
    Hello {
        /// The daemon's [`VERSION`].
        version: u32,
    },
    /// Serve a mount. Descriptors: the mounted /dev/fuse; the store (a directory of the server's own, in which the parts
    /// on disk are made when they are missing); with `working`, the root of a tmpfs for it.
    Serve(Serve),
    /// Put a file into the tree, or replace it. Descriptor: what it holds, read from its beginning (a sealed memfd).
    Publish {
        /// Where.
        mount: MountId,
        /// Beneath the root: `status`, or a path within `policy`, `tools` or `ipc`. Directories are made as needed.
        path: String,
        /// Permission bits, for example `0o444`.
        mode: u32,
    },
    /// Take a published file out of the tree.
    Withdraw {
        /// Where.
        mount: MountId,
        /// As in [`Order::Publish`].
        path: String,
    },
    /// How much is used.
    Usage {
        /// Of which mount.
        mount: MountId,
    },
    /// Serve it no longer. An unknown one is no error: it may have ended by itself when it was unmounted.
    End {
        /// Which.
        mount: MountId,
    },
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serve {
    /// Its name from now on.
    pub mount: MountId,
    /// What it is for.
    pub purpose: Purpose,
    /// Whom its files belong to, as they are shown.
    pub uid: u32,
    /// The group that they are shown with.
    pub gid: u32,
    /// Bounds, by part. Parts that are not named do not exist in this tree.
    pub quotas: Quotas,
    /// `mem/semantic` is an empty directory, for a mount of [`Purpose::Shared`]; `quotas` names no `semantic` then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_semantic: bool,
}

/// What a mount is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A running agent's files, with the rights of DESIGN 4.2.
    Agent,
    /// Reading what a name remembers, whether or not an agent runs.
    Inspect,
    /// Writing back what was exported; everything may be written.
    Restore,
    /// The semantic memory that several agents share. It is mounted in each by an idmapped mount, from the uid and gid of
    /// the order to the agent's.
    Shared,
}

/// How much each part of a tree may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotas {
    /// `/mem/working`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working: Option<Quota>,
    /// `/mem/episodic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episodic: Option<Quota>,
    /// `/mem/semantic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantic: Option<Quota>,
    /// `/mem/procedural`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub procedural: Option<Quota>,
    /// `/state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Quota>,
}

/// A bound. Bytes past it answer ENOSPC, files EDQUOT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes: every file's size rounded up to 4 KiB, and on disk 4 KiB for itself.
    pub bytes: u64,
    /// Files, directories, links.
    pub inodes: u64,
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    /// To [`Order::Hello`].
    Welcome {
        /// The server's [`VERSION`].
        version: u32,
        /// What it serves already.
        mounts: Vec<MountId>,
    },
    /// It is done.
    Done,
    /// To [`Order::Usage`]: what is held now, in the unit of the quotas.
    Usage {
        /// By part.
        used: Quotas,
    },
    /// To no order: the kernel or a failure has ended a mount, whether it was unmounted or lost.
    Ended {
        /// Which.
        mount: MountId,
    },
    /// It was not done, and nothing has changed.
    Failed {
        /// A fragment fit for "failed to …".
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_reads_as_it_was_written() {
        let quota = Some(Quota { bytes: 1 << 20, inodes: 10 });
        let order = Order::Serve(Serve {
            mount: MountId("scout".to_owned()),
            purpose: Purpose::Agent,
            uid: 7,
            gid: 8,
            quotas: Quotas { working: quota, state: quota, ..Quotas::default() },
            shared_semantic: false,
        });
        let text = serde_json::to_string(&order).expect("plain data");
        assert_eq!(
            text,
            r#"{"order":"serve","mount":"scout","purpose":"agent","uid":7,"gid":8,"quotas":{"working":{"bytes":1048576,"inodes":10},"state":{"bytes":1048576,"inodes":10}}}"#
        );
        assert_eq!(serde_json::from_str::<Order>(&text).expect("our own"), order);
    }
}
