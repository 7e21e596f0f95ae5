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
        .args(["--check-host", "--json"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(Failure::os("run agentosd --check-host"))?;
    match read_checks(&output.stdout) {
        Ok(checks) if !checks.is_empty() => Ok(checks),
        _ => {
            show::notice(&format!("{} --check-host did not answer with checks; run it as root", program.display()));
            Err(unreachable)
        }
    }
}

/// The checks as the program prints them: a line each, or one list.
fn read_checks(output: &[u8]) -> Result<Vec<Check>, serde_json::Error> {
    let mut checks = Vec::new();
    for part in serde_json::Deserializer::from_slice(output).into_iter::<Printed>() {
        match part? {
            Printed::One(check) => checks.push(check),
            Printed::List(list) => checks.extend(list),
        }
    }
    Ok(checks)
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Printed {
    One(Check),
    List(Vec<Check>),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read_by_line_and_by_list() {
        let one = r#"{"layer":"a","required_by":"b","found":"c","status":"ok","consequence":""}"#;
        for printed in [format!("{one}\n{one}\n"), format!("[{one},\n{one}]\n")] {
            assert_eq!(read_checks(printed.as_bytes()).expect("checks").len(), 2, "{printed}");
        }
        assert!(read_checks(b"agentosd must be root\n").is_err());
    }
}
