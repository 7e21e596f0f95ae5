//! What a daemon may not leave behind.

use crate::{audit, judge};
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where daemons share the host's audit settings; gone when the last one is.
const SHARED_AUDIT: &str = "/run/agentos-audit";

/// The host as it was before the daemon came, and what belongs to the daemon.
#[derive(Debug)]
pub(crate) struct Traces {
    place: PathBuf,
    audit: Option<audit::Settings>,
}

impl Traces {
    /// Before the daemon starts; `place` is the directory that holds all of its own.
    pub(crate) fn before(place: &Path) -> Self {
        // With another daemon at work the settings of now are not the ones that must come back.
        let alone = !Path::new(SHARED_AUDIT).exists();
        Self { place: place.to_owned(), audit: if alone { audit::settings().ok() } else { None } }
    }

    /// After it has ended: a sentence for each thing that is still there.
    pub(crate) fn left(&self, uids: &Range<u32>, cgroups: &[PathBuf]) -> Vec<String> {
        let mut left = Vec::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let place = self.place.display().to_string();
        left.extend(mounts.lines().filter(|line| line.contains(&place)).map(|line| format!("a mount: {line}")));
        // Whoever it is: the server of agents' files has a user of its own.
        let of_place = |pid: &i32| judge::command_line(*pid).iter().any(|word| word.contains(&place));
        for pid in judge::all_processes().into_iter().filter(of_place) {
            left.push(format!("a process: {pid} {:?}", judge::command_line(pid)));
        }
        for name in ["run/agents", "run/vfs.sock"] {
            left.extend(
                Some(self.place.join(name))
                    .filter(|path| path.exists())
                    .map(|path| format!("a file: {}", path.display())),
            );
        }
        left.extend(cgroups.iter().filter(|path| path.exists()).map(|path| format!("a cgroup: {}", path.display())));
        // What is dead and the child of the host's PID 1 is the host's to reap; its stage was killed by a test.
        let reaped_later = |pid: i32| {
            judge::process_state(pid) == Some('Z') && judge::status_line(pid, "PPid").as_deref() == Some("1")
        };
        for pid in judge::processes_of(uids).into_iter().filter(|pid| !reaped_later(*pid)) {
            let name = judge::status_line(pid, "Name").unwrap_or_default();
            left.push(format!("a process: {pid} {name} {:?}", judge::process_state(pid)));
        }
        for directory in ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run"] {
            left.extend(owned(Path::new(directory), uids).map(|path| format!("a file: {}", path.display())));
        }
        for kind in ["shm", "sem", "msg"] {
            left.extend(system_v(kind, uids).map(|line| format!("a System V object ({kind}): {line}")));
        }
        left.extend(self.audit_left());
        left
    }

    fn audit_left(&self) -> Option<String> {
        let before = self.audit?;
        let now = audit::settings().ok()?;
        // Looked at last: a daemon of another test that came in between has the settings now.
        let alone = !Path::new(SHARED_AUDIT).exists();
        (alone && now != before).then(|| format!("audit settings: {now:?} instead of {before:?}"))
    }
}

/// Entries directly in `directory` whose owner is one of `uids`.
fn owned(directory: &Path, uids: &Range<u32>) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_theirs = |path: &PathBuf| path.symlink_metadata().is_ok_and(|data| uids.contains(&data.uid()));
    entries.map(|entry| entry.path()).filter(is_theirs)
}

/// Lines of `/proc/sysvipc/KIND` that name one of `uids`; column positions differ by kind, the numbers are far apart.
fn system_v(kind: &str, uids: &Range<u32>) -> impl Iterator<Item = String> {
    let text = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
    let names =
        |line: &&str| line.split_whitespace().filter_map(|word| word.parse().ok()).any(|n: u32| uids.contains(&n));
    text.lines().filter(names).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// In no daemon's range.
    const UIDS: Range<u32> = 1_799_000_000..1_799_000_010;

    #[test]
    fn what_is_left_is_found() {
        if !crate::is_root() {
            return;
        }
        let place = tempfile::tempdir().expect("a directory");
        let traces = Traces::before(place.path());
        assert_eq!(traces.left(&UIDS, &[]), Vec::<String>::new());

        let file = tempfile::NamedTempFile::new_in("/tmp").expect("a file");
        std::os::unix::fs::chown(file.path(), Some(UIDS.start), None).expect("chown of our own file");
        let uid = UIDS.start.to_string();
        let mut process = Command::new("setpriv");
        process.args(["--reuid", &uid, "--clear-groups", "sleep", "60"]);
        let mut process = process.spawn().expect("setpriv(1) of util-linux is installed");
        crate::wait_until("the process to change its user", std::time::Duration::from_secs(5), || {
            judge::uid_processes(UIDS.start).len() == 1
        });
        let left = traces.left(&UIDS, &[place.path().to_owned()]).join("\n");
        process.kill().expect("our own child");
        process.wait().expect("our own child");
        let named = file.path().display().to_string();
        for found in [&named, "a process", "a cgroup"] {
            assert!(left.contains(found), "{found} is not in: {left}");
        }
    }
}
