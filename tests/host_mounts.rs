//! A launch shows the host's mounts as they are at that moment, though sandboxes are prepared before, and prepared ones
//! keep nothing of the host busy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tests::judge::all_processes;
use tests::{Daemon, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// A tmpfs of the host, unmounted at the end.
struct Mounted(PathBuf);

impl Mounted {
    fn on(path: &Path) -> Self {
        assert!(Command::new("mount").args(["-t", "tmpfs", "test"]).arg(path).status().expect("mount(8)").success());
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().expect("umount(8)").success());
    }
}

/// A daemon whose every agent is shown `shown`, so that the prepared ones are.
fn showing(shown: &Path, policies: &Path) -> Daemon {
    let policy = format!("extends: [base]\nfilesystem: [{{path: {:?}, access: read}}]\n", shown.display());
    fs::write(policies.join("showing.yaml"), policy).expect("a policy");
    Daemon::configured(&format!("policy_dirs: [{}]\ndefault_policy: showing\n", policies.display()))
}

/// Processes in mount namespaces other than the host's that have a mount at `path`.
fn holders(path: &Path) -> usize {
    let wanted = path.to_str().expect("UTF-8");
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let host = namespace(std::process::id().cast_signed());
    let table = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let others = all_processes().into_iter().filter(|pid| namespace(*pid) != host);
    others.filter(|pid| table(pid).lines().any(|line| line.split(' ').nth(4) == Some(wanted))).count()
}

#[test]
fn what_the_host_mounts_is_shown_at_once_and_what_it_unmounts_is_let_go() {
    if !tests::is_root() {
        return;
    }
    let (shown, policies) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let inner = shown.path().join("inner");
    fs::create_dir(&inner).expect("a directory");
    let daemon = showing(shown.path(), policies.path());
    let listed = || {
        let place = inner.to_str().expect("UTF-8");
        stdout(&succeeded(daemon.agentctl(&["run", "--rm", "--", "ls", place])))
    };
    assert_eq!(listed(), "", "control: nothing is there");
    // Again and again: a spare that was prepared before each change is taken for each launch.
    for round in 0..3 {
        let mounted = Mounted::on(&inner);
        fs::write(inner.join("here"), "").expect("a file");
        assert_eq!(listed(), "here\n", "round {round}: mounted");
        wait_until("spares that show it", SOON, || holders(&inner) > 0);
        drop(mounted);
        assert_eq!(listed(), "", "round {round}: unmounted");
        wait_until("spares that have let go of it", SOON, || holders(&inner) == 0);
    }
}
