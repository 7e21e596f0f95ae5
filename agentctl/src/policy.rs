//! `policy check` and `policy show`: the daemon's own parser and resolver, here; no daemon is asked.

use crate::cli;
use crate::failure::Failure;
use crate::show;
use crate::values::{PolicyArgument, read_policy};
use policies::{Effective, Loader, ProfileName, Shipped, SourceText};
use std::error::Error;
use std::path::PathBuf;

/// `agentctl policy …`.
pub(crate) fn policy(command: cli::Policy) -> Result<u8, Failure> {
    match command {
        cli::Policy::Check { file, directories } => {
            let effective = resolve(PolicyArgument::File(file), directories)?;
            show::print(&policies::summary(&effective))?;
        }
        cli::Policy::Show { policy, directories, json } => {
            let effective = resolve(policy, directories)?;
            if json {
                show::document(&show::policy::value(&effective)?)?;
            } else {
                show::print(&policies::render(&effective))?;
            }
        }
    }
    Ok(0)
}

fn resolve(policy: PolicyArgument, directories: Vec<PathBuf>) -> Result<Effective, Failure> {
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

/// Profiles in the operator's directories, then the shipped ones: the daemon's order.
struct Directories(Vec<PathBuf>);

impl Loader for Directories {
    fn load(&self, name: &ProfileName) -> Result<Option<SourceText>, Box<dyn Error + Send + Sync>> {
        for directory in &self.0 {
            let path = directory.join(format!("{name}.yaml"));
            // What may not even be looked at is an error of reading it, not a profile that is absent.
            match path.try_exists() {
                Ok(false) => {}
                _ => return Ok(Some(SourceText { origin: path.display().to_string(), text: read_policy(&path)? })),
            }
        }
        Shipped.load(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = self.0.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten();
        let own = entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned));
        let mut names: Vec<String> = own.chain(Shipped.names()).collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, directory: &std::path::Path) -> Result<Effective, Failure> {
        resolve(PolicyArgument::Profile(name.to_owned()), vec![directory.to_owned()])
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
        let failure = resolve(PolicyArgument::File(path), vec![]).expect_err("refused");
        assert!(failure.sentence().contains("mine.yaml:2:1: unknown key `filesytem`"), "{}", failure.sentence());
        assert_eq!(failure.exit_code(), 5);
        assert_eq!(profile("absent", directory.path()).expect_err("refused").exit_code(), 5);
    }
}
