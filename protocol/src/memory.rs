//! What a name remembers, also while no agent of that name runs.
//!
//! A tree comes as the descriptor of its root: a mount that is attached to no path, and that lasts as long as the
//! connection over which it was asked for. Whoever gets it walks it with calls such as openat2(2), as any user would.

use crate::ids::{AgentName, TimeUs};
use serde::{Deserialize, Serialize};

/// One part of what an agent holds (DESIGN 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Memory, gone with the agent.
    Working,
    /// Append-only.
    Episodic,
    /// Written at will.
    Semantic,
    /// For the agent to read.
    Procedural,
    /// Checkpoints.
    State,
}

impl Part {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Working, Self::Episodic, Self::Semantic, Self::Procedural, Self::State];
    /// Those that outlive the agent.
    pub const LASTING: [Self; 4] = [Self::Episodic, Self::Semantic, Self::Procedural, Self::State];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Episodic => "episodic",
            Self::Semantic => "semantic",
            Self::Procedural => "procedural",
            Self::State => "state",
        }
    }

    /// Where it lies beneath the root of a tree.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Working => "mem/working",
            Self::Episodic => "mem/episodic",
            Self::Semantic => "mem/semantic",
            Self::Procedural => "mem/procedural",
            Self::State => "state",
        }
    }
}

/// What a name remembers, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The name.
    pub name: AgentName,
    /// The user whose it is.
    pub owner: u32,
    /// Whether an agent of that name lives.
    pub running: bool,
    /// When an agent last had it, or it was last restored; absent while an agent lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_us: Option<TimeUs>,
}

/// Lists what names remember; with `more` in pages, without it only the first page. To a caller who is not root, only
/// the caller's own are there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListMemories {
    /// Only this one, which is an error when it remembers nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<AgentName>,
}

/// A page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListMemoriesReply {
    /// By name.
    pub memories: Vec<Memory>,
}

/// Opens what a name remembers, for reading (needs `more`). While an agent lives, `mem/working` is there too.
///
/// One reply, with the descriptor of the tree's root beside it. The tree is gone when the connection closes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenMemory {
    /// The name.
    pub name: AgentName,
}

/// What was opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenMemoryReply {
    /// It.
    pub memory: Memory,
}

/// Begins to write what a name shall remember (needs `more`). Whose it is stays so; when the name remembers nothing yet, it
/// will be the caller's, or for root that of `owner`. No agent of that name may live, and none is started meanwhile.
///
/// The first reply comes with the descriptor of an empty tree's root. [`FinishRestore`] puts that tree in the place of
/// what the name remembered before, at once and as a whole, and this call's last reply follows. When the connection
/// closes before that, everything is as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreMemory {
    /// The name.
    pub name: AgentName,
    /// The user whose it shall be; root only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
}

/// First that the tree may be written, then that it is in its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreMemoryReply {
    /// What the name remembers: in the first reply before, in the last one now. Absent when that is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// For [`FinishRestore`]; absent in the last reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<u64>,
}

/// Says that a tree is complete. Called on a connection of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FinishRestore {
    /// The name.
    pub name: AgentName,
    /// As [`RestoreMemory`]'s reply said.
    pub restore: u64,
}

/// Makes a name forget. No agent of that name may live.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveMemory {
    /// The name.
    pub name: AgentName,
}
