//! A policy with everything that it extends merged in: what the daemon enforces, except for the values of variables.

use std::fmt;
use std::sync::Arc;

use crate::absence::WithoutDaemon;
use crate::cores::Cores;
use crate::digest::Digest;
use crate::env::{EnvName, EnvValue};
use crate::kernel_layer::KernelLayer;
use crate::mediation::{Mediation, Rate};
use crate::memory::Memory;
use crate::names::Hostname;
use crate::origin::{Origin, Rule};
use crate::schema::Access;
use crate::size::Size;
use crate::template::PathTemplate;
use crate::time_span::TimeSpan;

/// A resolved policy. Made by [`crate::resolve()`]; given an agent's paths by [`Effective::bind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The profile's name, or the origin of a document that is no profile.
    pub name: String,
    /// The digest of all sources in their order: equal digests mean equal policies.
    pub digest: Digest,
    /// The files that made this policy, parents first.
    pub sources: Vec<Source>,
    /// Beneath which paths programs may be executed.
    pub exec: Vec<Rule<PathTemplate>>,
    /// What of the file system is there; the longest path decides.
    pub filesystem: Vec<FsRule>,
    /// The environment, one rule a variable.
    pub env: Vec<EnvRule>,
    /// The host name that the agent sees, if the policy sets one.
    pub hostname: Option<Rule<Hostname>>,
    /// What the agent starts without where the kernel lacks it.
    pub optional_layers: Vec<Rule<KernelLayer>>,
    /// How much the agent may use.
    pub limits: Limits,
    /// What it can remember.
    pub memory: Memory,
    /// What becomes of it while no daemon is there.
    pub without_daemon: WithoutDaemon,
    /// What it says of requests; a [`crate::Table`] is compiled from it.
    pub mediation: Mediation,
    /// What the policy says and nothing enforces yet, each with its place: the daemon refuses it or tells the operator.
    pub not_enforced: Vec<String>,
}

/// One file of an effective policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name of the file or profile as its loader gave it.
    pub origin: Arc<str>,
    /// The text as it was read.
    pub text: Arc<str>,
    /// The digest of the text alone.
    pub digest: Digest,
}

/// One rule about the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FsRule {
    /// The path that the rule covers, with everything beneath it that no longer path names.
    pub path: PathTemplate,
    /// What the agent may do there.
    pub access: Access,
    /// Whether the path may be missing on the host; if not, the start fails without it.
    pub optional: bool,
    /// If set, the path is no part of the host but a private, initially empty tmpfs of this size.
    pub tmpfs: Option<Size>,
    /// `Some(false)`: no program beneath is executed whatever [`Effective::exec`] says; `Some(true)`: as if listed there.
    pub exec: Option<bool>,
    /// Whether only a directory may be written; anything else at the path is shown read-only.
    pub directory: bool,
    /// Where the rule stands.
    pub origin: Origin,
}

/// One variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvRule {
    /// The variable.
    pub name: EnvName,
    /// Where its value comes from.
    pub value: EnvValue,
    /// Where the rule stands.
    pub origin: Origin,
}

/// How much an agent may use. The size of a core file is always 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all its processes with their page cache, tmpfs and memfd.
    pub memory: Rule<Size>,
    /// Processes and threads at one time.
    pub pids: Rule<u32>,
    /// Open files of one process (RLIMIT_NOFILE).
    pub files: Rule<u32>,
    /// Processors. None: no limit.
    pub cpu: Option<Rule<Cores>>,
    /// Time from start to end. None: no limit.
    pub wall: Option<Rule<TimeSpan>>,
    /// What it may write to its standard output and error. None: no limit.
    pub output: Option<Rule<Size>>,
    /// The largest file that it can write (RLIMIT_FSIZE). None: no limit.
    pub file_size: Option<Rule<Size>>,
    /// CPU time of all its processes together. None: no limit.
    pub cpu_time: Option<Rule<TimeSpan>>,
    /// Actions that it may ask for in its life. None: no limit.
    pub actions: Option<Rule<u32>>,
    /// How often it may ask for actions, whichever they are. None: no limit.
    pub action_rate: Option<Rule<Rate>>,
    /// How often in a row it may ask for the same action with the same parameters. None: no limit.
    pub repeats: Option<Rule<u32>>,
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory {}, pids {}, files {}", self.memory.value, self.pids.value, self.files.value)?;
        further(f, "cpu", self.cpu.as_ref())?;
        further(f, "wall", self.wall.as_ref())?;
        further(f, "output", self.output.as_ref())?;
        further(f, "file_size", self.file_size.as_ref())?;
        further(f, "cpu_time", self.cpu_time.as_ref())?;
        further(f, "actions", self.actions.as_ref())?;
        further(f, "action_rate", self.action_rate.as_ref())?;
        further(f, "repeats", self.repeats.as_ref())
    }
}

/// A limit that need not be there.
fn further<T: fmt::Display>(f: &mut fmt::Formatter<'_>, key: &str, rule: Option<&Rule<T>>) -> fmt::Result {
    rule.map_or(Ok(()), |rule| write!(f, ", {key} {}", rule.value))
}
