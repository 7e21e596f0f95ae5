//! Promise: /mem/working and /mem/semantic are a POSIX file system, in the eyes of suites and programs that others wrote.
//!
//! Each suite runs as the agent's user (`scripts/fs-suites`). docs/file-system-suites.md says what they are.

use mounted::{AGENT, Server, Store, Wanted, as_user};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{binary, reachable, repository_root, skip, stderr, stdout, succeeded};

/// The parts that are a file system like any other.
const PARTS: [&str; 2] = ["mem/working", "mem/semantic"];

/// Calls `judge` with a directory of the agent in each of the parts.
fn in_each_part(mut judge: impl FnMut(&Server, &Path)) {
    let server = Server::start(&binary("agentos-vfs")).expect("the server starts");
    let store = Store::new().expect("a store");
    let mount = server.mount(&store, &Wanted::default()).expect("the store is served");
    for part in PARTS {
        let directory = mount.path().join(part).join("suite");
        succeeded(as_user(AGENT, "mkdir").arg(&directory).output().expect("mkdir(1)"));
        println!("{part}:");
        judge(&server, &directory);
    }
    server.end(mount).expect("the mount ends in order");
}

fn suite(name: &str) {
    if !tests::is_root() {
        return;
    }
    in_each_part(|_, directory| run_suite(name, directory, ""));
}

/// `without` is an operation of fsx that is left out.
fn run_suite(name: &str, directory: &Path, without: &str) {
    let mut script = Command::new(repository_root().join("scripts/fs-suites"));
    if !without.is_empty() {
        script.env("FSX_WITHOUT", without);
    }
    let output = script.arg(name).arg(directory).arg(AGENT.to_string()).output().expect("the script can be started");
    if output.status.code() == Some(77) {
        skip(&format!("fs-suites-{name}"), stderr(&output).trim());
        return;
    }
    print!("{}", stdout(&succeeded(output)));
}

#[test]
fn pjdfstest_finds_no_fault() {
    suite("pjdfstest");
}

#[test]
fn sqlite_loses_no_transaction_when_its_writers_are_killed() {
    suite("sqlite");
}

#[test]
fn git_clones_collects_and_finds_its_objects_sound() {
    suite("git");
}

#[test]
fn fio_reads_back_what_it_wrote() {
    suite("fio");
}

#[test]
fn stress_ng_finds_no_fault() {
    suite("stress");
}

/// How long random operations go on, in each part.
fn seconds() -> u64 {
    std::env::var("FSX_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(15)
}

#[test]
fn random_operations_on_a_file_read_what_was_written() {
    if !tests::is_root() {
        return;
    }
    in_each_part(|_, directory| {
        // On disk, sendfile(2) from a descriptor that may write can miss what a shared mapping wrote before: the kernel
        // reads it from a cache that mappings do not go through (docs/file-system-suites.md).
        let on_disk = directory.parent().is_some_and(|part| part.ends_with("semantic"));
        run_suite("fsx", directory, if on_disk { "sendfile" } else { "" });
    });
}

#[test]
fn random_calls_on_a_tree_answer_as_linux_own_file_system_does() {
    if !tests::is_root() {
        return;
    }
    let (exerciser, _place) = reachable("exerciser");
    in_each_part(|server, directory| {
        let reference = server.tmpfs_beside(1 << 30, AGENT).expect("a tmpfs");
        let seed = u64::from(std::process::id());
        let start = |number: u64| {
            let reference = own(&reference.path().join(number.to_string()));
            let directory = directory.join(number.to_string());
            succeeded(as_user(AGENT, "mkdir").arg(&directory).output().expect("mkdir(1)"));
            let mut tree = as_user(AGENT, &exerciser);
            tree.arg("tree").arg(directory).arg(reference);
            tree.args(["--seconds", &seconds().to_string(), "--seed", &(seed * 10 + number).to_string()]);
            std::thread::spawn(move || tree.output().expect("the exerciser"))
        };
        let running: Vec<_> = (0..2).map(start).collect();
        for thread in running {
            print!("{}", stdout(&succeeded(thread.join().expect("it does not panic"))));
        }
    });
}

#[test]
fn processes_that_share_files_lose_nothing() {
    if !tests::is_root() {
        return;
    }
    let (exerciser, _place) = reachable("exerciser");
    in_each_part(|_, directory| {
        let output = as_user(AGENT, &exerciser).arg("share").arg(directory).output().expect("the exerciser");
        print!("{}", stdout(&succeeded(output)));
    });
}

/// A directory of the agent's on the host.
fn own(path: &Path) -> PathBuf {
    std::fs::create_dir(path).expect("a directory");
    chown(path, Some(AGENT), Some(AGENT)).expect("it becomes the agent's");
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).expect("our own directory");
    path.to_owned()
}
