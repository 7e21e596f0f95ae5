//! The tiny git project that the agent is given: a sum that subtracts, and the test that notices.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

const SUM: &str = "#!/bin/sh\n# Prints the sum of two numbers.\necho \"$(($1 - $2))\"\n";
const TESTS: &str = "#!/bin/sh\nsum=$(./sum.sh 2 3)\n[ \"$sum\" = 5 ] || { echo \"sum.sh 2 3 gives $sum, not 5\"; exit 1; }\n\
                     echo \"1 test passed\"\n";
const BRANCH: &str = ".git/refs/heads/main";

/// A repository with one commit.
#[derive(Debug)]
pub(crate) struct Workspace {
    path: PathBuf,
    first_commit: String,
}

impl Workspace {
    /// Makes the project at `path`.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        fs::create_dir(&path).with_context(|| format!("failed to make {}", path.display()))?;
        for (name, text) in [("sum.sh", SUM), ("run-tests", TESTS)] {
            let file = path.join(name);
            fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).context("failed to make it executable")?;
        }
        for line in
            ["init --quiet --initial-branch main", "config user.name Agent", "config user.email agent@localhost"]
        {
            git(&path, line)?;
        }
        git(&path, "add --all")?;
        git(&path, "commit --quiet --message start")?;
        let first_commit = fs::read_to_string(path.join(BRANCH)).context("failed to read the first commit")?;
        Ok(Self { path, first_commit })
    }

    /// Where it is, inside the sandbox and outside.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the work is done, judged by the files alone: git is not run here, because a repository that an agent
    /// could write may carry commands in its configuration, and this is root.
    pub(crate) fn judge(&self) -> Result<(), String> {
        let read = |name: &str| fs::read_to_string(self.path.join(name)).map_err(|error| format!("{name}: {error}"));
        if !read("sum.sh")?.contains("$1 + $2") {
            return Err("sum.sh still subtracts".to_owned());
        }
        if read(BRANCH)? == self.first_commit {
            return Err("there is no new commit on main".to_owned());
        }
        let owner = |name: &str| fs::metadata(self.path.join(name)).map(|data| data.uid());
        match (owner(""), owner("sum.sh"), owner(BRANCH)) {
            (Ok(before), Ok(source), Ok(branch)) if before == source && before == branch => Ok(()),
            owners => Err(format!("the files changed their owner: {owners:?}")),
        }
    }

    /// How large the file `name` is; 0 if there is none.
    pub(crate) fn size(&self, name: &str) -> u64 {
        fs::metadata(self.path.join(name)).map_or(0, |data| data.len())
    }
}

fn git(directory: &Path, arguments: &str) -> Result<()> {
    let output = Command::new("git").current_dir(directory).args(arguments.split(' ')).output();
    let output = output.context("failed to run git; install git")?;
    ensure!(output.status.success(), "git {arguments} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
