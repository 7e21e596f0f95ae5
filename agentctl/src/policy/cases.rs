//! `policy test`: the table of cases beside a policy.

use super::{bad, resolve};
use crate::failure::Failure;
use crate::values::{PolicyArgument, read_policy};
use policies::{CaseReport, CaseTable, ProfileName, shipped_cases};
use std::path::{Path, PathBuf};

/// Finds the table and tries it.
pub(super) fn run(
    policy: PolicyArgument,
    cases: Option<PathBuf>,
    directories: &[PathBuf],
) -> Result<CaseReport, Failure> {
    let (origin, text) = table(&policy, cases, directories)?;
    let effective = resolve(policy, directories)?;
    CaseTable::read(&origin, &text).map_err(bad)?.run(&effective).map_err(bad)
}

/// The name and text of the table: the one that is given, or the one beside the policy's file.
fn table(
    policy: &PolicyArgument,
    cases: Option<PathBuf>,
    directories: &[PathBuf],
) -> Result<(String, String), Failure> {
    let read = |path: &Path| Ok((path.display().to_string(), read_policy(path)?));
    match (cases, policy) {
        (Some(path), _) => read(&path),
        (None, PolicyArgument::File(path)) => read(&path.with_extension("cases.yaml")),
        (None, PolicyArgument::Profile(name)) => {
            let parsed: ProfileName = name.parse().map_err(bad)?;
            // The directory that the profile itself is taken from.
            let own = directories.iter().find(|directory| directory.join(format!("{name}.yaml")).exists());
            match (own, shipped_cases(&parsed)) {
                (Some(directory), _) => read(&directory.join(format!("{name}.cases.yaml"))),
                (None, Some((origin, text))) => Ok((origin, text.to_owned())),
                (None, None) => {
                    Err(Failure::Policy(format!("there is no profile `{name}`, and so no table of its cases")))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_beside_its_policy() {
        let directory = tempfile::tempdir().expect("a directory");
        let directories = [directory.path().to_owned()];
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
        write("mine.yaml", "extends: [base]\npolicies: [{action: file_read, paths: [/data/x]}]\n");
        let profile = || PolicyArgument::Profile("mine".to_owned());
        let missing = run(profile(), None, &directories).expect_err("no table");
        assert!(missing.sentence().contains("mine.cases.yaml"), "{}", missing.sentence());
        write("mine.cases.yaml", "cases: [{action: file_read, path: /data/x, expect: allow}]\n");
        assert_eq!(run(profile(), None, &directories).expect("tried").passed, 1);
        let file = PolicyArgument::File(directory.path().join("mine.yaml"));
        assert_eq!(run(file, None, &[]).expect("tried").passed, 1);
        write("other.yaml", "cases: [{action: file_read, path: /data/x, expect: deny}]\n");
        let other = Some(directory.path().join("other.yaml"));
        assert_eq!(run(profile(), other, &directories).expect("tried").failures.len(), 1);
        let shipped = PolicyArgument::Profile("web-researcher".to_owned());
        assert!(run(shipped, None, &directories).expect("tried").failures.is_empty());
    }
}
