//! Promise: git runs nothing outside that an agent has written where the shipped profile for coding keeps it from writing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{Daemon, Launch, stderr, stdout, succeeded};

/// git outside, as the operator uses it.
fn git(directory: &Path, line: &str) -> String {
    let identity = ["-c", "user.name=tests", "-c", "user.email=tests@localhost"];
    let output = Command::new("git").args(identity).args(line.split(' ')).current_dir(directory).output();
    stdout(&succeeded(output.expect("git can be started")))
}

/// A repository with one commit.
fn repository(daemon: &Daemon) -> PathBuf {
    let path = daemon.workspace();
    git(&path, "init --quiet --initial-branch main");
    fs::write(path.join("text"), "one\n").expect("a file of the project");
    git(&path, "add text");
    git(&path, "commit --quiet --message one");
    path
}

/// A linked worktree of such a repository.
fn worktree(daemon: &Daemon) -> PathBuf {
    let path = daemon.workspace().join("linked");
    git(&repository(daemon), &format!("worktree add --quiet {}", path.display()));
    path
}

/// Every way to make `.git` say something else; ends with what shows that the agent ran and may write beside it.
const ATTACK: &str =
    "mkdir evil; printf '[core]\\n\\tfsmonitor = touch ../ran\\n' > evil/config; echo gitdir: evil > lie
    echo gitdir: evil > .git; cp lie .git; truncate -s 0 .git; chmod 666 .git; mv .git moved; mv lie .git; rm -f .git
    ln -f lie .git; ln -sfn evil .git; mv -T evil .git; mkdir .git
    cat .git; echo ran > control";

#[test]
fn a_linked_worktree_cannot_be_pointed_at_another_repository() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let path = worktree(&daemon);
    let pointer = path.join(".git");
    let state = || {
        let found = fs::symlink_metadata(&pointer).expect("it is still there");
        (fs::read(&pointer).expect("a file"), found.ino(), found.mode(), found.mtime_nsec())
    };
    let before = state();
    let output = daemon.run_inside(&Launch::new("coding-agent").workspace(&path), &["sh", "-c", ATTACK]);
    let said = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(state(), before, "{said}");
    assert!(path.join("control").exists(), "it can write beside it: {said}");
    assert!(stdout(&output).starts_with("gitdir: "), "it can read it: {said}");
    assert!(said.contains("Read-only file system") && said.contains("busy"), "{said}");
    assert!(git(&path, "status --short").contains("control"), "git outside takes the real repository");
}

#[test]
fn without_the_rule_a_linked_worktree_is_the_agents_to_redirect() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let path = worktree(&daemon);
    let policy = daemon.policy("extends: [base]\nfilesystem: [{path: \"${workspace}\", access: write}]\n");
    let output = daemon.run_inside(&Launch::new(policy).workspace(&path), &["sh", "-c", "echo gitdir: evil > .git"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(path.join(".git")).expect("a file"), "gitdir: evil\n");
}

#[test]
fn an_agent_commits_in_an_ordinary_repository() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let path = repository(&daemon);
    let launch =
        ["AUTHOR", "COMMITTER"].into_iter().fold(Launch::new("coding-agent").workspace(&path), |launch, who| {
            launch.env(&format!("GIT_{who}_NAME"), "agent").env(&format!("GIT_{who}_EMAIL"), "agent@localhost")
        });
    let script = "echo two >> text && git commit --quiet --all --message two && git checkout --quiet -b other";
    let output = daemon.run_inside(&launch, &["sh", "-c", script]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(git(&path, "log --format=%s other"), "two\none\n");
}
