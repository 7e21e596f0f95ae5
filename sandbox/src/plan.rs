//! The plan of a confinement: plain data, decided by the daemon, carried out by the stage.
//!
//! Nothing here decides. A plan says what is visible, what may be done with it and who the process is; every field is
//! needed, so that a forgotten one is a type error and not an open door.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything the stage needs to know to confine one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Host name inside the agent's UTS namespace.
    pub hostname: String,
    /// Who the agent is on the host.
    pub agent: Identity,
    /// Who PID 1 inside is on the host: neither root nor the agent.
    pub init: Identity,
    /// On whose behalf directories are opened.
    pub caller: Caller,
    /// What is visible, parents before children; nothing else exists inside.
    pub view: Vec<Mount>,
    /// What may be done beneath which path; the floor under `view`.
    pub rules: Vec<Rule>,
    /// What is mounted at the places that every root has.
    pub parts: Vec<Part>,
    /// Which system calls may be made.
    pub calls: Calls,
    /// Per-process limits.
    pub rlimits: Rlimits,
    /// The agent's main process.
    pub process: Process,
    /// Bytes of output after which the stage reports [`crate::message::Report::OutputSpent`].
    pub output_limit: Option<u64>,
    /// What becomes of it while no daemon is there.
    pub without_daemon: WithoutDaemon,
}

/// What becomes of an agent while no daemon is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutDaemon {
    /// It ends at once: it works for somebody who is gone too.
    End,
    /// It goes on, confined as before, until a daemon claims it.
    Stay(Stay),
}

impl WithoutDaemon {
    /// What the stage does of its own accord.
    #[must_use]
    pub fn orphan(&self) -> Option<Orphan> {
        match self {
            Self::End => None,
            Self::Stay(stay) => stay.orphan,
        }
    }
}

/// How an agent goes on without a daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// What the stage does of its own accord when no daemon comes; `None` waits for ever.
    pub orphan: Option<Orphan>,
    /// The reply to whoever connects to the agent's socket meanwhile, as it goes over the wire; `None` has them wait.
    pub refusal: Option<String>,
}

/// What a stage does of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// After so many milliseconds without a daemon.
    pub after_ms: u64,
    /// What.
    pub then: Then,
}

/// What is done with an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Every process of it is stopped, as by SIGSTOP.
    Stop,
    /// Every process of it is killed.
    Kill,
}

/// Which system calls may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calls {
    /// Those of every agent.
    Agent,
    /// For a program of ours besides: `openat2(2)`, whose arguments no filter sees. It takes that from itself before it becomes
    /// another program.
    Helper,
}

/// What most plans have in common, so that a spare stage can have it before its plan is known. Only saves time: a launch
/// compares it with its plan and with the host as the caller sees it then, and makes everything anew when they differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// What is visible, without workspaces and without anything that differs between agents.
    pub view: Vec<Mount>,
    /// What may be done with it.
    pub rules: Vec<Rule>,
}

/// A host uid and gid; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The credentials with which sources are opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// One visible thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mount {
    /// A host file or directory, read-only and recursive. A symbolic link on the host becomes the same link inside.
    Bind {
        /// Path on the host, and inside.
        path: PathBuf,
        /// Programs beneath it may be executed; otherwise the mount is noexec.
        executable: bool,
        /// A source that does not exist is left out instead of failing the start.
        optional: bool,
    },
    /// A host directory (or file) that the agent may write, at its own path, idmapped so that on disk its files belong
    /// to `owner`. The path must hold no symbolic link.
    Workspace {
        /// Path on the host, and inside.
        path: PathBuf,
        /// No writing.
        read_only: bool,
        /// No writing either if it is anything but a directory.
        directory_only: bool,
        /// Programs beneath it may be executed.
        executable: bool,
        /// Who on disk the agent is shown as; `None` takes the owner of the outermost such directory above, or else the
        /// directory's own.
        owner: Option<Identity>,
        /// A source that does not exist is left out instead of failing the start.
        optional: bool,
        /// Paths beneath it that stay read-only. Their parents are pinned (made mount points), so that the agent
        /// cannot move them aside; one that does not exist is left out.
        sealed: Vec<PathBuf>,
    },
    /// A private tmpfs, owned by the agent; its pages count against the memory limit.
    Tmpfs {
        /// Where.
        path: PathBuf,
        /// Bytes.
        size: u64,
        /// Programs on it may be executed.
        executable: bool,
        /// Permission bits, for example `0o1777`.
        mode: u32,
    },
    /// A small file of our making, owned by root and read-only.
    File {
        /// Where.
        path: PathBuf,
        /// What it holds.
        contents: String,
    },
    /// An empty file (or directory) that no rule grants: an attempt on it is refused by Landlock, and so recorded,
    /// where a path that does not exist would answer ENOENT and leave no record.
    Decoy {
        /// Where.
        path: PathBuf,
        /// A directory instead of a file.
        directory: bool,
    },
    /// A directory of our making that cannot be listed: what is placed in it is found by whoever knows its name, and not
    /// by what walks through everything (`find /`, `grep -r`).
    Passage {
        /// Where.
        path: PathBuf,
    },
    /// A symbolic link.
    Symlink {
        /// Where.
        path: PathBuf,
        /// What it says.
        target: PathBuf,
    },
}

impl Mount {
    /// Where it stands inside.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Bind { path, .. } | Self::Workspace { path, .. } | Self::Tmpfs { path, .. } => path,
            Self::File { path, .. } | Self::Decoy { path, .. } | Self::Symlink { path, .. } => path,
            Self::Passage { path } => path,
        }
    }

    /// The host path that is shown, if it is one.
    #[must_use]
    pub fn source(&self) -> Option<&Path> {
        match self {
            Self::Bind { path, .. } | Self::Workspace { path, .. } => Some(path),
            Self::Tmpfs { .. } | Self::File { .. } | Self::Decoy { .. } => None,
            Self::Passage { .. } | Self::Symlink { .. } => None,
        }
    }
}

/// A directory of the daemon's own, at a [`Place`] inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// On the host. It is opened as root, and its path holds no symbolic link.
    pub source: PathBuf,
    /// Where it is mounted.
    pub place: Place,
}

/// A place that every root has, with the rights that are the same in every plan. What is mounted there can be replaced
/// while the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// `/mem`: read and write.
    Memory,
    /// `/mem/semantic`, over what [`Self::Memory`] has there: read and write. The source is idmapped, so that what
    /// belongs to its owner is the agent's.
    Semantic,
    /// `/state`: read and write.
    State,
    /// `/ipc`: read and write.
    Ipc,
    /// `/policy`: read.
    Policy,
    /// `/tools`: read and execute.
    Tools,
    /// Beneath `/run/agentos`: the agent's sockets, nothing more than connecting to them.
    Sockets,
}

/// A Landlock rule: what may be done beneath a path inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Beneath this path inside; left out when it does not exist there.
    pub path: PathBuf,
    /// Read files and list directories.
    pub read: bool,
    /// Create, change, rename and remove.
    pub write: bool,
    /// Execute programs.
    pub execute: bool,
}

/// Per-process limits (`setrlimit(2)`), soft and hard alike. Core dumps are always off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimits {
    /// RLIMIT_NOFILE.
    pub files: u64,
    /// RLIMIT_FSIZE in bytes.
    pub file_size: Option<u64>,
}

/// A process to start inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments; a program without a slash is looked up in `PATH` of `env`, inside.
    pub argv: Vec<String>,
    /// The whole environment, `NAME=value`.
    pub env: Vec<String>,
    /// Working directory inside.
    pub cwd: PathBuf,
    /// A terminal of this size instead of pipes.
    pub terminal: Option<Window>,
    /// Descriptors of a client come with the order: standard input, output and (without a terminal) error.
    pub attached: bool,
    /// Keep standard input open while nobody is attached.
    pub keep_stdin: bool,
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}
