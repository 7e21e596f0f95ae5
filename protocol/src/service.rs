//! Agents that have a file of their own and start with the daemon.

use crate::ids::{AgentName, TimeUs};
use serde::{Deserialize, Serialize};

/// Lists them: root sees all, others those that run in their name. With `more` in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {}

/// A page of them, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicesReply {
    /// The directory of the files.
    pub directory: String,
    /// Why the directory as a whole is not read; for root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// They.
    pub services: Vec<Service>,
}

/// Reads the files again; root only. New ones are started, what a changed one says holds from the next start, and an agent
/// whose file is gone goes on without anybody looking after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadServices {}

/// Starts one that stays ended, with a history that begins anew; root, or in whose name it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartService {
    /// Which.
    pub name: AgentName,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The file's name without `.yaml`; the agent's name, unless the file is refused for it.
    pub name: String,
    /// The file.
    pub file: String,
    /// In whose name it runs.
    pub owner: u32,
    /// Where it stands.
    pub state: ServiceState,
    /// What its health command says; absent without one, and when it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// How often it was started again by itself.
    pub restarts: u32,
    /// When it starts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start_us: Option<TimeUs>,
    /// For people: what it waits for, or why it stays ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What is wrong with the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where one stands.
///
/// ```text
///   waiting ──► starting ──► running ──► pausing ──► waiting
///                   │            └─────► ended
///                   └──────► pausing, ended
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Its file is not taken; nothing was started.
    Refused,
    /// What it depends on does not run yet, or is not healthy.
    Waiting,
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It has ended and starts again after a while.
    Pausing,
    /// It has ended and stays so.
    Ended,
}

/// What the health command says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It has not succeeded yet.
    Unknown,
    /// It succeeded last, or has not failed often enough since.
    Healthy,
    /// It failed too often in a row.
    Unhealthy,
}
