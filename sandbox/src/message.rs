//! What the daemon and a stage say to each other, over a socketpair.
//!
//! A message is a length (u32, little-endian), JSON of that length, and descriptors beside its first byte. The stage is
//! trusted by the daemon and the other way round; the bounds are there so that a mistake is an error and not a hang.
//!
//! ```text
//!   daemon                          stage (outer half)
//!     Prepare{cgroup, template} + [nursery] ──►  clones PID 1 into its cgroups and namespaces, places the template; it waits
//!                    ◄──── Prepared + [pidfd of PID 1]
//!     Launch{plan} + [log, client streams…] ─►
//!     Served                    ──►  the parts are mounted too
//!                    ◄──── Started{process 0} + [pidfd of the main process]   or   Failed
//!     Spawn / Attach / Detach / Resize  ─►
//!                    ◄──── Started / Failed / Exited / OutputSpent / ClientGone
//!                    ◄──── Ended        every process is dead, every stream is drained
//!     Dismiss                   ──►  the stage kills PID 1 (and with it everything inside) and exits
//! ```
//! End of file from the daemon means that it is gone. Before an agent runs the stage then ends as if dismissed; afterwards
//! it does what the plan says ([`crate::plan::WithoutDaemon`]), and the next daemon claims it over its own socket:
//!
//! ```text
//!   daemon                          stage
//!     connect ──────────────────►  who is it? root, and nobody else
//!     Claim{key}                ──►
//!                    ◄──── Claimed{what is kept} + [pidfds, kept descriptors]
//!                    ◄──── Started / Exited for further processes, then as above
//! ```

mod wire;

pub use wire::{Received, Receiver, Sending, send};

use crate::cgroup::Cgroup;
use crate::plan::{Part, Plan, Process, Template, Then, Window};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// Longest message in bytes; a plan with a full environment fits.
pub const MAX_MESSAGE: usize = 4 << 20;
/// Most descriptors beside a message.
pub const MAX_FDS: usize = 64;

/// The number of a process inside one agent: 0 is the main process, further ones count from 1.
pub type ProcessNumber = u32;

/// What the daemon orders.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Make the namespaces and PID 1, in this cgroup. Descriptor: the [`crate::Nursery`].
    Prepare {
        /// Where the agent will be held.
        cgroup: Cgroup,
        /// What the plan will probably have.
        template: Template,
        /// How another daemon can claim it.
        claim: Claim,
    },
    /// The host's mounts have changed: what a spare shows is placed anew.
    Renew,
    /// Keep these for the next daemon. A descriptor for each.
    Keep {
        /// What they are.
        kept: Vec<Kept>,
    },
    /// The first message over a new connection: whoever knows the key takes the place of the daemon.
    Claim {
        /// The one that came with [`Self::Prepare`].
        key: Key,
    },
    /// Kill whatever lives inside, and exit.
    Dismiss,
    /// Confine, and start the main process. Descriptors: the log file, then the client's streams if attached. A plan with
    /// parts waits for [`Self::Served`] before they are opened.
    Launch {
        /// All of it.
        plan: Box<Plan>,
    },
    /// The sources of the plan's parts can be opened.
    Served,
    /// Start a further process. Descriptors: the client's streams if attached.
    Spawn {
        /// Its number.
        process: ProcessNumber,
        /// What to start.
        what: Process,
    },
    /// Connect a client to a process's streams. Descriptors: standard input, output, error.
    Attach {
        /// Which process.
        process: ProcessNumber,
    },
    /// Let go of the client of a process; the process goes on.
    Detach {
        /// Which process.
        process: ProcessNumber,
    },
    /// Mount these anew, in place of what is at their places. Answered by [`Report::Remounted`].
    Remount {
        /// All of the plan's, where they are now.
        parts: Vec<Part>,
    },
    /// Go on reading after [`Report::OutputSpent`]: the agent may write as much once more.
    RenewOutput,
    /// Set a terminal's size.
    Resize {
        /// Which process.
        process: ProcessNumber,
        /// The size.
        window: Window,
    },
}

/// What a stage reports.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// PID 1 waits in its namespaces and cgroup. Descriptor: its pidfd.
    Prepared,
    /// The answer to a claim. Descriptors: PID 1's pidfd, the main process's, then those that are kept.
    Claimed(Holding),
    /// A process runs its program. Descriptor: its pidfd.
    Started {
        /// Which.
        process: ProcessNumber,
    },
    /// A process was surely not started. For process 0, and before `Prepared`, the stage ends.
    Failed {
        /// Which.
        process: ProcessNumber,
        /// Why.
        failure: Failure,
    },
    /// A further process ended and its streams are drained.
    Exited {
        /// Which.
        process: ProcessNumber,
        /// As `wait(2)` gives it.
        status: i32,
    },
    /// The main process and with it all others are dead, and the streams are drained. The last report.
    Ended {
        /// As `wait(2)` gives it.
        status: i32,
        /// Bytes of output.
        output: u64,
    },
    /// The output limit was passed; nothing more is read from the agent.
    OutputSpent,
    /// What came of [`Order::Remount`].
    Remounted {
        /// Why not.
        failure: Option<Failure>,
    },
    /// The attached client closed its end of the output.
    ClientGone {
        /// Of which process.
        process: ProcessNumber,
    },
}

/// How a stage is claimed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// Where the stage listens: in a directory that root alone can enter.
    pub socket: PathBuf,
    /// What the claimant must know.
    pub key: Key,
}

/// A secret of the daemon's.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// From text that nobody can guess.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Compares without telling by its time how much is right.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let (own, other) = (self.0.as_bytes(), other.0.as_bytes());
        let different = own.iter().zip(other).fold(0, |different, (a, b)| different | (a ^ b));
        own.len() == other.len() && different == 0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What a stage keeps for the next daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The agent's listening socket.
    Listener,
    /// The file system of `/mem/working`.
    Working,
    /// The lock on the uids that the agent's is one of.
    Uids,
    /// What the daemon needs to know to take the agent back: a sealed memory file.
    Memo,
}

/// What a stage tells a daemon that has claimed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// What the descriptors after the two pidfds are.
    pub kept: Vec<Kept>,
    /// The number of the last further process.
    pub last: ProcessNumber,
    /// A client holds the other end of the main process's streams.
    pub attached: bool,
    /// The output limit was passed.
    pub output_spent: bool,
    /// The main process has ended; [`Report::Ended`] follows.
    pub ended: bool,
    /// What the stage did because no daemon came in time.
    pub orphan: Option<Then>,
    /// How long no daemon was there, in milliseconds.
    pub absent_ms: u64,
}

/// Why something was not started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// A layer could not be built.
    #[error("cannot {step}{}: {}{}", object_of(object), io::Error::from_raw_os_error(*errno), remedy_of(remedy))]
    Setup {
        /// What was attempted: `mount the workspace idmapped`.
        step: String,
        /// On what; may be empty.
        object: String,
        /// The error number.
        errno: i32,
        /// What to do about it; may be empty.
        remedy: String,
    },
    /// `execve(2)` refused the program.
    #[error("{}", io::Error::from_raw_os_error(*errno))]
    Exec {
        /// The error number: ENOENT, EACCES, ENOEXEC, …
        errno: i32,
    },
}

fn object_of(object: &str) -> String {
    if object.is_empty() { String::new() } else { format!(" {object}") }
}

fn remedy_of(remedy: &str) -> String {
    if remedy.is_empty() { String::new() } else { format!("; {remedy}") }
}
