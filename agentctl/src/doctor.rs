//! `doctor`: what this host offers. Asks the daemon; without one, asks its program, which checks the same.

use crate::cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::show::{self, Look};
use protocol::control::Doctor;
use protocol::doctor::{Check, Status};
use protocol::exit_code;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The daemon's program.
const DAEMON: &str = "agentosd";
/// Where it may be besides PATH: an operator's PATH often lacks these.
const SYSTEM: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];

/// `agentctl doctor`.
pub(crate) fn doctor(socket: &Path, options: cli::Json) -> Result<u8, Failure> {
    let checks = match Client::connect(socket) {
        Ok(mut client) => client.call(&Doctor {})?.checks,
        Err(unreachable) => without_daemon(unreachable)?,
    };
    if options.json {
        show::document(&checks)?;
    } else {
        show::print(&show::checks(&checks, Look::of_output()))?;
    }
    let missing = checks.iter().any(|check| check.status == Status::Missing);
    Ok(if missing { exit_code::LAYER_MISSING } else { exit_code::OK })
}

fn without_daemon(unreachable: Failure) -> Result<Vec<Check>, Failure> {
    let Some(program) = find_daemon() else {
        show::notice(
            "no agentosd is beside agentctl or in PATH; where there is one, ask it: sudo agentosd --check-host",
        );
        return Err(unreachable);
    };
    show::notice(&format!("{}; asking {} --check-host instead", unreachable.sentence(), program.display()));
    let output = Command::new(&program)
        .arg("--check-host")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(Failure::os("run agentosd --check-host"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let checks: Result<Vec<Check>, _> = text.lines().map(serde_json::from_str).collect();
    match checks {
        Ok(checks) if !checks.is_empty() => Ok(checks),
        _ => {
            show::notice(&format!("{} --check-host did not answer with checks; run it as root", program.display()));
            Err(unreachable)
        }
    }
}

fn find_daemon() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = beside.into_iter().chain(std::env::split_paths(&path)).chain(SYSTEM.iter().map(PathBuf::from));
    directories
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(DAEMON))
        .find(|p| p.is_file())
}
