//! The interface `io.agentos.Control`: one request and one reply type a method.
//!
//! A type `M` with [`Method`] is the call's parameters; `M::Reply` the reply's. Methods that follow something reply
//! many times (`more`); each type says so. Descriptors travel beside the message, in the order its type names.

use crate::action::ExecuteReply;
use crate::agent::{Agent, Details, ExecId, Exit};
use crate::approval::Approval;
use crate::bytes::Bytes;
use crate::denial::{Completeness, Denial};
use crate::event::Event;
use crate::ids::{AgentId, AgentName, TimeUs};
pub use crate::rejoin::{Rejoin, RejoinReply};
use crate::signal::Signal;
use serde::{Deserialize, Serialize};

pub use crate::doctor::{Doctor, DoctorReply};
pub use crate::governing::{
    Approvals, ApprovalsReply, AuditLog, AuditLogReply, AuditStatus, AuditStatusReply, DecideApproval, Perform,
};
pub use crate::interface::{Interface, Method};
pub use crate::memory::{
    FinishRestore, ListMemories, ListMemoriesReply, OpenMemory, OpenMemoryReply, RemoveMemory, RestoreMemory,
    RestoreMemoryReply,
};
pub use crate::service::{ReloadServices, Services, ServicesReply, StartService};

/// The interface's name.
pub const NAME: &str = "io.agentos.Control";

/// The interface in Varlink's own language, as `GetInterfaceDescription` gives it.
pub const INTERFACE: &str = include_str!("io.agentos.Control.varlink");

/// The interface, as a service describes it.
pub const SELF: Interface = Interface { name: NAME, text: INTERFACE, methods: METHODS };

macro_rules! methods {
    ($($request:ident => $reply:ty),* $(,)?) => {
        $(impl Method for $request {
            const NAME: &'static str = stringify!($request);
            type Reply = $reply;
        })*
        /// Every method's name.
        pub const METHODS: &[&str] = &[$(stringify!($request)),*];
    };
}

methods! {
    Run => RunReply,
    Exec => ExecReply,
    Attach => AttachReply,
    Rejoin => RejoinReply,
    Detach => Empty,
    Resize => Empty,
    Kill => KillReply,
    Wait => WaitReply,
    List => ListReply,
    Inspect => InspectReply,
    Logs => LogsReply,
    Events => EventsReply,
    Denials => DenialsReply,
    Remove => Empty,
    Doctor => DoctorReply,
    ListMemories => ListMemoriesReply,
    OpenMemory => OpenMemoryReply,
    RestoreMemory => RestoreMemoryReply,
    FinishRestore => Empty,
    RemoveMemory => Empty,
    Perform => ExecuteReply,
    AuditLog => AuditLogReply,
    AuditStatus => AuditStatusReply,
    Approvals => ApprovalsReply,
    DecideApproval => Approval,
    Services => ServicesReply,
    ReloadServices => Empty,
    StartService => Empty,
}

/// A reply that says only "done".
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Empty {}

/// Which policy an agent gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyChoice {
    /// A profile by name: shipped, or a file of that name in the daemon's policy directory.
    Profile(String),
    /// The text of a policy file; root only.
    Text {
        /// The file's path, for messages.
        origin: String,
        /// Its contents.
        text: String,
    },
}

/// The directory that an agent works in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Absolute path without symbolic links. The caller must be able to open it.
    pub path: String,
    /// The agent may only read it.
    #[serde(default)]
    pub read_only: bool,
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}

/// How the process is connected. With a terminal, `stderr` is not used.
///
/// Descriptors beside the call, when `attach` is set: the read end of a pipe for standard input, the write end of one
/// for standard output, and (without a terminal) the write end of one for standard error. The process never sees
/// these; the stage pumps between them and pipes or a terminal of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stdio {
    /// Give it a terminal of this size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Window>,
    /// The descriptors named above come with the call.
    #[serde(default)]
    pub attach: bool,
    /// Keep its standard input open when nobody is attached, instead of giving it the end of file.
    #[serde(default)]
    pub keep_stdin: bool,
}

/// Starts an agent.
///
/// One reply when it runs. With `more`, a second and last one when it has ended; and when the connection closes
/// before that without [`Detach`], the agent is hung up: SIGHUP, and SIGKILL after ten seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Its name; chosen by the daemon when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<AgentName>,
    /// Its policy; the daemon's default profile when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyChoice>,
    /// Where it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
    /// Program and arguments, at least the program.
    pub command: Vec<String>,
    /// Variables given by `--env`, as `(name, value)`: these are passed whatever the policy says.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// The caller's own environment; only what the policy names is taken from it.
    #[serde(default)]
    pub caller_env: Vec<(String, String)>,
    /// How it is connected.
    #[serde(default)]
    pub stdio: Stdio,
    /// Remove its records when it has ended.
    #[serde(default)]
    pub remove: bool,
    /// A wall-clock limit in milliseconds, besides the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// First that it runs, then (with `more`) how it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunReply {
    /// Its name.
    pub name: AgentName,
    /// This run.
    pub id: AgentId,
    /// How it ended; absent in the first reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

/// Starts a further process inside an agent's confinement. Replies and hang-up as with [`Run`], for that process only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exec {
    /// The agent.
    pub name: AgentName,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables besides the agent's own.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// How it is connected.
    #[serde(default)]
    pub stdio: Stdio,
}

/// First that it runs, then (with `more`) how it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecReply {
    /// Its number within the agent.
    pub exec: ExecId,
    /// How it ended; absent in the first reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

/// Connects to a running agent's standard streams; descriptors as with [`Stdio::attach`], always all three.
///
/// One client at a time is attached. One reply when connected, with `more` a last one when the agent has ended.
/// Closing the connection detaches and does the agent no harm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attach {
    /// The agent.
    pub name: AgentName,
}

/// First that it is connected, then (with `more`) how the agent ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttachReply {
    /// Whether the agent has a terminal.
    pub terminal: bool,
    /// How the agent ended; absent in the first reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

/// Says that the client of a foreground `Run` or `Exec` leaves on purpose. Called on a connection of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Detach {
    /// The agent.
    pub name: AgentName,
    /// The further process, when not the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecId>,
}

/// Tells the terminal's new size (SIGWINCH follows from the kernel).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resize {
    /// The agent.
    pub name: AgentName,
    /// The further process, when not the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecId>,
    /// The size.
    pub window: Window,
}

/// Sends a signal (DESIGN 4.1): KILL ends every process, STOP stops every process, CONT continues, the rest are
/// delivered to the main process, or to the further process named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kill {
    /// The agent.
    pub name: AgentName,
    /// The signal.
    pub signal: Signal,
    /// The further process, when not the agent; KILL, STOP and CONT then still mean that process alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecId>,
    /// With TERM: SIGKILL follows after this many milliseconds if the agent still lives; the reply waits for the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
}

/// What came of a signal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KillReply {
    /// As recorded in the event log: `delivered`, `stopped 12 processes`, `no effect: already stopped`.
    pub outcome: String,
    /// Whether it changed anything.
    pub effect: bool,
}

/// Waits for an agent's end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wait {
    /// The agent.
    pub name: AgentName,
}

/// How it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WaitReply {
    /// How.
    pub exit: Exit,
}

/// Lists agents by name; with `more` in pages of under 64 KiB, without it only the first page.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct List {
    /// Ended ones too.
    #[serde(default)]
    pub all: bool,
}

/// A page of agents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListReply {
    /// The agents.
    pub agents: Vec<Agent>,
}

/// All that is known of one agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inspect {
    /// The agent.
    pub name: AgentName,
}

/// All that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InspectReply {
    /// It.
    pub details: Details,
}

/// An agent's output so far; with `follow` (needs `more`) also what comes, until it ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Logs {
    /// The agent.
    pub name: AgentName,
    /// Go on until it has ended.
    #[serde(default)]
    pub follow: bool,
}

/// Which stream a piece of output was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogEntry {
    /// When it was read from the agent.
    pub time_us: TimeUs,
    /// Where it was written to.
    pub stream: Stream,
    /// The bytes.
    pub data: Bytes,
}

/// A page of output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogsReply {
    /// In order.
    pub entries: Vec<LogEntry>,
}

/// The event log; with `follow` (needs `more`) also what comes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Events {
    /// Go on.
    #[serde(default)]
    pub follow: bool,
    /// Only one agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<AgentName>,
}

/// A page of events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventsReply {
    /// In order.
    pub events: Vec<Event>,
}

/// What the kernel refused an agent; with `follow` (needs `more`) also what comes, until it ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Denials {
    /// The agent.
    pub name: AgentName,
    /// Go on until it has ended.
    #[serde(default)]
    pub follow: bool,
}

/// A page of denials.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DenialsReply {
    /// In order.
    pub denials: Vec<Denial>,
    /// Whether the list is whole; said in the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completeness: Option<Completeness>,
}

/// Removes an ended agent's records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remove {
    /// The agent.
    pub name: AgentName,
    /// Kill it first if it still lives.
    #[serde(default)]
    pub force: bool,
}
