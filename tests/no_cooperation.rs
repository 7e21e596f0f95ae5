//! Promise 11: unmodified agent CLIs do their normal work inside.
//!
//! Three real ones from the npm registry, driven by a scripted model through an honest day: read, fail, edit, test, commit.
//! What came of it is judged by the files on the host. A refusal that broke something is a defect like an escape.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{Daemon, Launch, binary, repository_root, stderr, stdout, succeeded};

const SUM: &str = "#!/bin/sh\n# Prints the sum of two numbers.\necho \"$(($1 - $2))\"\n";
const TESTS: &str =
    "#!/bin/sh\nsum=$(./sum.sh 2 3)\n[ \"$sum\" = 5 ] || { echo \"2 and 3 give $sum\"; exit 1; }\necho passed\n";
/// Neither root nor any agent: whoever owns the workspace must own it afterwards.
const OWNER: u32 = 12_345;
const BRANCH: &str = ".git/refs/heads/main";
/// Steps of `tests/scripts/honest.json` that run something.
const STEPS: usize = 5;

#[test]
fn codex_works_inside() {
    honest_work("codex");
}

#[test]
fn opencode_works_inside() {
    honest_work("opencode");
}

#[test]
fn claude_works_inside() {
    honest_work("claude");
}

fn honest_work(kind: &str) {
    if !tests::is_root() {
        return;
    }
    let Some(cli) = install(kind) else { return };
    let daemon = Daemon::shared();
    let workspace = project(&daemon);
    let before = read(&workspace, BRANCH);

    let mut launch = Launch::new(policy(&daemon, &cli)).workspace(&workspace).name(kind);
    for (name, value) in cli["env"].as_object().expect("tests/agents/command prints env") {
        launch = launch.env(name, value.as_str().expect("a variable's value"));
    }
    let words = launch.words(&model(&cli, &workspace).iter().map(String::as_str).collect::<Vec<_>>());
    let output = daemon.command(&words).output().expect("agentctl can be started");
    let denials = stdout(&succeeded(daemon.agentctl(&["denials", kind])));
    println!("{kind} was refused:\n{denials}");
    let said = format!("{kind} ended with {}: {}\n{}\n{denials}", output.status, stdout(&output), stderr(&output));
    succeeded(daemon.agentctl(&["rm", kind]));

    assert!(output.status.success(), "{said}");
    assert!(read(&workspace, "sum.sh").contains("$1 + $2"), "the file is not edited: {said}");
    assert_ne!(read(&workspace, BRANCH), before, "nothing is committed: {said}");
    let failed = failed_steps(&read(&workspace, "journal.jsonl"));
    assert!(failed.is_empty(), "steps that failed: {failed:#?}\n{said}");
    let strangers = not_owned(&workspace);
    assert!(strangers.is_empty(), "files of another owner than the workspace's: {strangers:?}");
    let place = workspace.display().to_string();
    let broken: Vec<_> = denials.lines().filter(|line| line.contains(&place)).collect();
    assert!(broken.is_empty(), "refused in its own workspace: {broken:#?}");
}

/// What `tests/agents/command` says of the installed CLI; `None`, with a skip, where it cannot be had.
fn install(kind: &str) -> Option<Value> {
    let agents = repository_root().join("tests/agents");
    let place = repository_root().join("target/agents");
    let installed = Command::new(agents.join("install")).arg(kind).arg(&place).output().expect("the script can run");
    if !installed.status.success() {
        tests::skip("agent-clis", stderr(&installed).trim());
        return None;
    }
    let command = Command::new(agents.join("command")).arg(kind).arg(&place).output().expect("the script can run");
    Some(serde_json::from_slice(&succeeded(command).stdout).expect("tests/agents/command prints JSON"))
}

/// A repository with a bug, a test that shows it, and an owner of its own.
fn project(daemon: &Daemon) -> PathBuf {
    let path = daemon.workspace();
    for (name, text) in [("sum.sh", SUM), ("run-tests", TESTS)] {
        fs::write(path.join(name), text).expect("a file of the project");
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).expect("chmod of our own file");
    }
    for line in [
        "init --quiet --initial-branch main",
        "config user.name Agent",
        "config user.email agent@localhost",
        "add --all",
        "commit --quiet --message start",
    ] {
        succeeded(Command::new("git").current_dir(&path).args(line.split(' ')).output().expect("git is installed"));
    }
    for entry in walk(&path) {
        chown(&entry, Some(OWNER), Some(OWNER)).expect("chown of our own file");
    }
    path
}

/// coding-agent, the CLI, and the scripted model with its script.
fn policy(daemon: &Daemon, cli: &Value) -> PathBuf {
    let read = cli["read"].as_array().expect("tests/agents/command prints read");
    let mut paths: Vec<String> = read.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect();
    paths.push(binary("scripted-model").display().to_string());
    let rules: String = paths.iter().map(|path| format!("  - {{path: \"{path}\", access: read}}\n")).collect();
    let exec = paths.iter().map(|path| format!("\"{path}\"")).collect::<Vec<_>>().join(", ");
    let script = script();
    daemon.policy(&format!(
        "extends: [coding-agent]\nprocess:\n  exec: [{exec}]\nfilesystem:\n{rules}  - {{path: \"{script}\", access: read}}\n"
    ))
}

fn script() -> String {
    repository_root().join("tests/scripts/honest.json").display().to_string()
}

/// The scripted model as the main process, with the CLI as its child.
fn model(cli: &Value, workspace: &Path) -> Vec<String> {
    let journal = workspace.join("journal.jsonl").display().to_string();
    let mut words = vec![binary("scripted-model").display().to_string()];
    words.extend(["--script", &script(), "--log", &journal, "--port", "4010", "--"].map(str::to_owned));
    let argv = cli["argv"].as_array().expect("tests/agents/command prints argv");
    words.extend(argv.iter().filter_map(|word| word.as_str().map(str::to_owned)));
    words
}

/// Labels of steps whose result is not there or not 0.
fn failed_steps(journal: &str) -> Vec<String> {
    let lines: Vec<Value> = journal.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let results: Vec<&Value> = lines.iter().filter(|line| line["event"] == "result").collect();
    let mut failed: Vec<String> = results
        .iter()
        .filter(|line| !line["exit"].is_null() && line["exit"] != 0)
        .map(|line| line.to_string())
        .collect();
    if results.len() < STEPS {
        failed.push(format!("{} results of {STEPS}: {journal}", results.len()));
    }
    failed
}

fn not_owned(path: &Path) -> Vec<PathBuf> {
    let is_theirs =
        |path: &PathBuf| path.symlink_metadata().is_ok_and(|data| (data.uid(), data.gid()) == (OWNER, OWNER));
    walk(path).into_iter().filter(|path| !is_theirs(path)).collect()
}

/// `path` and everything beneath it.
fn walk(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        if directory.symlink_metadata().is_ok_and(|data| data.is_dir()) {
            found.extend(fs::read_dir(&directory).expect("our own directory").flatten().map(|entry| entry.path()));
        }
        next += 1;
    }
    found
}

fn read(workspace: &Path, name: &str) -> String {
    fs::read_to_string(workspace.join(name)).unwrap_or_default()
}
