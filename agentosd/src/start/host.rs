//! What the host offers, asked before anything is served.

use crate::config::{Config, UidRange};
use crate::{denial, preflight};
use anyhow::bail;
use protocol::doctor::{Check, Status};
use sandbox::cgroup::{CgroupError, Hierarchies};
use std::io::Write as _;
use std::process::ExitCode;

/// `--check-host`: what this host offers, printed.
pub(super) fn check(json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let checks = runtime.block_on(async {
        let hierarchies = Hierarchies::open(&format!("agentos-check-{}", std::process::id()));
        let log = denial::Log::open(denial::Settings::default()).await;
        let checks = look(&hierarchies, &log, config);
        if let Ok(log) = log {
            log.close().await?;
        }
        if let Ok(hierarchies) = hierarchies {
            hierarchies.close()?;
        }
        anyhow::Ok(checks)
    })?;
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &checks)?;
        writeln!(out)?;
    } else {
        for Check { layer, required_by, found, status, consequence } in &checks {
            let word = match status {
                Status::Ok => "ok",
                Status::Degraded => "degraded",
                Status::Missing => "MISSING",
            };
            let tail = if consequence.is_empty() { String::new() } else { format!(" - {consequence}") };
            writeln!(out, "{word:8} {layer} ({required_by}): {found}{tail}")?;
        }
    }
    let missing = preflight::missing(&checks).next().is_some();
    Ok(if missing { ExitCode::from(protocol::exit_code::LAYER_MISSING) } else { ExitCode::SUCCESS })
}

/// Looks at every layer.
pub(super) fn look(
    hierarchies: &Result<Hierarchies, CgroupError>,
    log: &Result<denial::Log, denial::Unavailable>,
    config: &Config,
) -> Vec<Check> {
    let UidRange { first, count } = config.uid_range;
    let given = preflight::Given {
        cgroups: hierarchies.as_ref(),
        denial_log: log.as_ref().map(|_| ()),
        fuse_passthrough: config.vfs_passthrough,
        uids: first..first.saturating_add(count),
    };
    // It blocks, on this thread: nothing else is served yet.
    preflight::run(&given)
}

/// Says which required layer is missing.
pub(super) fn refuse_missing(checks: &[Check]) -> anyhow::Result<()> {
    let missing: Vec<String> = preflight::missing(checks)
        .map(|check| {
            format!("{} ({}, needed by {}): {}", check.layer, check.found, check.required_by, check.consequence)
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("this host lacks what agents need: {}", missing.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_layer_is_named_and_a_degraded_one_is_not_fatal() {
        let check = |status| Check {
            layer: "landlock".into(),
            required_by: "every agent".into(),
            found: "not in this kernel".into(),
            status,
            consequence: "agentosd does not start".into(),
        };
        assert!(refuse_missing(&[check(Status::Ok), check(Status::Degraded)]).is_ok());
        let error = refuse_missing(&[check(Status::Missing)]).unwrap_err().to_string();
        assert!(error.contains("landlock") && error.contains("not in this kernel"), "{error}");
    }
}
