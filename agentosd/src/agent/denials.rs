//! Keeps an agent's denials: from the kernel's log to its file, counted for `ps`.

use crate::journal;
use protocol::agent::Agent;
use protocol::denial::Denial;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Denials that may wait for the disk: as many as an agent's list can have, so that none is turned away.
pub(super) const SINK: usize = 10_000;
/// Denials written at once.
const BATCH: usize = 1024;

/// Writes what comes until the log has finished with the agent.
pub(super) async fn keep(path: PathBuf, mut sink: mpsc::Receiver<Denial>, publish: Arc<watch::Sender<Agent>>) {
    let mut batch = Vec::new();
    while sink.recv_many(&mut batch, BATCH).await > 0 {
        let (path, denials) = (path.clone(), std::mem::take(&mut batch));
        let count = u64::try_from(denials.len()).unwrap_or(u64::MAX);
        let written = tokio::task::spawn_blocking(move || append(&path, &denials).map_err(|e| (path, e))).await;
        if let Ok(Err((path, error))) = written {
            journal::error(format_args!("cannot write denials to {}: {error}", path.display()));
        }
        publish.send_modify(|agent| agent.denials = Some(agent.denials.unwrap_or(0) + count));
    }
}

fn append(path: &Path, denials: &[Denial]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for denial in denials {
        serde_json::to_writer(&mut bytes, denial)?;
        bytes.push(b'\n');
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)?.write_all(&bytes)
}
