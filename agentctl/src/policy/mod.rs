//! `agentctl policy`: the daemon's own parser, resolver and decisions, here. Only `suggest` asks the daemon.
//!
//! ```text
//!   cli ──► resolve (loader: the operator's directories, then the shipped profiles) ──► policies ──► text
//! ```

mod cases;
mod explain;
mod loader;
mod suggest;

use crate::cli::policy::Policy;
use crate::failure::Failure;
use crate::show;
use crate::values::{PolicyArgument, read_policy};
use loader::Directories;
use policies::{Effective, ProfileName};
use protocol::exit_code;
use std::error::Error;
use std::path::{Path, PathBuf};

/// `agentctl policy …`.
pub(crate) fn policy(socket: &Path, command: Policy) -> Result<u8, Failure> {
    match command {
        Policy::Check { file, directories } => {
            let effective = resolve(PolicyArgument::File(file), &directories.directories)?;
            show::print(&policies::summary(&effective))?;
        }
        Policy::Show { policy, directories, json } => {
            let effective = resolve(policy, &directories.directories)?;
            if json {
                show::document(&show::policy::value(&effective)?)?;
            } else {
                show::print(&policies::render(&effective))?;
            }
        }
        Policy::Explain(options) => show::print(&explain::explain(options)?)?,
        Policy::Test { policy, cases, directories } => {
            let report = cases::run(policy, cases, &directories.directories)?;
            show::print(&report.to_string())?;
            return Ok(if report.failures.is_empty() { exit_code::OK } else { exit_code::FAILED });
        }
        Policy::Diff { old, new, directories } => {
            let (old, new) = (resolve(old, &directories.directories)?, resolve(new, &directories.directories)?);
            show::print(&policies::diff(&old, &new).map_err(bad)?.to_string())?;
        }
        Policy::Suggest { policy, name, directories } => {
            show::print(&suggest::suggest(socket, (&name, policy), &directories.directories)?)?;
        }
        Policy::Schema { of } => show::print(of.json_schema())?,
    }
    Ok(exit_code::OK)
}

fn resolve(policy: PolicyArgument, directories: &[PathBuf]) -> Result<Effective, Failure> {
    let loader = Directories(directories);
    match policy {
        PolicyArgument::Profile(name) => {
            let name: ProfileName = name.parse().map_err(bad)?;
            policies::resolve_profile(&name, &loader).map_err(bad)
        }
        PolicyArgument::File(path) => {
            let text = read_policy(&path)?;
            let document = policies::parse(&path.display().to_string(), &text).map_err(bad)?;
            policies::resolve(&document, &loader).map_err(bad)
        }
    }
}

/// A policy's own error, with what caused it.
fn bad<E: Error>(error: E) -> Failure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    Failure::Policy(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, directory: &std::path::Path) -> Result<Effective, Failure> {
        resolve(PolicyArgument::Profile(name.to_owned()), &[directory.to_owned()])
    }

    #[test]
    fn an_operators_profile_is_found_and_hides_a_shipped_one() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("mine.yaml"), "extends: [base]\nprocess: {limits: {pids: 7}}\n")
            .expect("written");
        assert_eq!(profile("mine", directory.path()).expect("resolved").limits.pids.value, 7);
        std::fs::write(directory.path().join("python.yaml"), "extends: [mine]\n").expect("written");
        assert_eq!(profile("python", directory.path()).expect("resolved").limits.pids.value, 7);
    }

    #[test]
    fn a_bad_policy_says_where_and_exits_5() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("mine.yaml");
        std::fs::write(&path, "extends: [base]\nfilesytem: []\n").expect("written");
        let failure = resolve(PolicyArgument::File(path), &[]).expect_err("refused");
        assert!(failure.sentence().contains("mine.yaml:2:1: unknown key `filesytem`"), "{}", failure.sentence());
        assert_eq!(failure.exit_code(), 5);
        assert_eq!(profile("absent", directory.path()).expect_err("refused").exit_code(), 5);
    }
}
