//! The audit log at the daemon's start.

use super::ending::IntegrityFailure;
use crate::config::Config;
use crate::gate::Gate;
use crate::journal;
use anyhow::Context as _;
use protocol::audit::{Kind, Record};
use std::path::Path;
use std::sync::Arc;
use trust::log::{Options, Recovery, Retention};
use trust::note::Origin;

/// The directory of the log, in the state directory.
const DIRECTORY: &str = "audit";

/// Opens the log, says what a crash has left, and records the start: a daemon that cannot record serves nobody.
///
/// With it, whether it is a new one.
pub(super) fn open(state: &Path, config: &Config) -> anyhow::Result<(Arc<Gate>, bool)> {
    let directory = state.join(DIRECTORY);
    let mut options = Options::new(origin(config)?);
    options.retention = Retention { bytes: config.audit_max_size, ..Retention::default() };
    let (gate, recovery) = Gate::open(&directory, options).map_err(|error| {
        if error.is_integrity() {
            return broken(state, &format!("the audit log: {}", journal::sentence(&error))).into();
        }
        anyhow::Error::new(error).context(format!("cannot use the audit log {}", directory.display()))
    })?;
    if recovery.cut > 0 || recovery.unsigned > 0 {
        let Recovery { cut, unsigned, .. } = recovery;
        journal::warning(format_args!(
            "the audit log {} was not closed: {unsigned} records after its last checkpoint are signed now, and {cut} bytes that nobody was told of are cut off",
            directory.display()
        ));
    }
    gate.note(&Record::new(Kind::Daemon, format!("start of agentosd {}", env!("CARGO_PKG_VERSION"))));
    Ok((Arc::new(gate), recovery.created))
}

/// The log is not as it was left, and what the operator can do.
pub(super) fn broken(state: &Path, why: &str) -> IntegrityFailure {
    let directory = state.join(DIRECTORY);
    let directory = directory.display();
    IntegrityFailure(format!(
        "{why}. To see what is wrong: agentctl audit verify --dir {directory}. To go on: move {directory} away, which is evidence, and start agentosd again; agents stay stopped until somebody continues them"
    ))
}

/// The name of a new log: the operator's, or the host's.
fn origin(config: &Config) -> anyhow::Result<Origin> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = config.audit_origin.clone().unwrap_or_else(|| format!("{host}/agentos-audit"));
    name.parse().with_context(|| "audit_origin in the configuration".to_owned())
}

/// Records the end and closes the log.
pub(super) fn close(gate: Arc<Gate>) -> anyhow::Result<()> {
    gate.note(&Record::new(Kind::Daemon, "end of agentosd"));
    let Some(gate) = Arc::into_inner(gate) else {
        journal::error(format_args!("the audit log is still used at the daemon's end"));
        return Ok(());
    };
    gate.close().context("cannot close the audit log")
}
