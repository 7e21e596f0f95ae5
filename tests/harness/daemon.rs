//! An `agentosd` of the test's own.

mod turnover;

use crate::leftovers::Traces;
use crate::{Agent, Launch, binary, succeeded, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

const READY: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(20);
/// Apart from the default range, so that the tests and a daemon in real use never meet. Wide enough for 256 daemons.
const UIDS: &str = "uid_range: {first: 1800000000, count: 1048576}\n";
/// Where a daemon locks its block of uids; the file's name is the first of them.
const UID_LOCKS: &str = "/run/agentos-uids/";
const UID_BLOCK: u32 = 4096;

/// A running daemon. Dropped, it is told to end, and whatever it leaves on the host fails the test.
#[derive(Debug)]
pub struct Daemon {
    child: Mutex<Child>,
    place: tempfile::TempDir,
    /// Its block; after a crash the next daemon may have another.
    uids: Mutex<Range<u32>>,
    traces: Traces,
    /// Directories of the cgroup hierarchies that hold every agent's own.
    cgroups: Mutex<Vec<PathBuf>>,
    count: AtomicU32,
}

/// Held while a daemon starts and while one is put away.
static COMING_AND_GOING: Mutex<()> = Mutex::new(());

impl Daemon {
    /// With the default configuration.
    ///
    /// # Panics
    /// When it is not ready within 10 s, with what it said.
    #[must_use]
    pub fn start() -> Self {
        Self::configured("")
    }

    /// With these lines of YAML in its configuration (`uid_range` is given already).
    ///
    /// # Panics
    /// As [`Daemon::start`].
    #[must_use]
    pub fn configured(lines: &str) -> Self {
        let place = tempfile::Builder::new().prefix("agentos-test-").tempdir().expect("a directory for the daemon");
        // Callers that are not root must reach their workspaces below.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("chmod of our own directory");
        fs::create_dir(place.path().join("work")).expect("a directory for workspaces");
        // Not while another is being put away: a new daemon takes over its uids, and would be taken for what it left.
        let _alone = COMING_AND_GOING.lock().unwrap_or_else(PoisonError::into_inner);
        let traces = Traces::before(place.path());
        let child = launch(place.path(), lines);
        let uids = Mutex::new(uid_block(child.id()));
        Self { child: Mutex::new(child), place, uids, traces, cgroups: Mutex::default(), count: AtomicU32::new(0) }
    }

    /// One daemon for all tests of a file that run at the same time; it ends with the last of them.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Daemon>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let daemon = Arc::new(Self::start());
            *shared = Arc::downgrade(&daemon);
            daemon
        })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.lock_child().id()).expect("pids fit")
    }

    /// True until it has ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.lock_child().try_wait(), Ok(None))
    }

    /// The exit code of one that has ended.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.lock_child().try_wait().ok().flatten().and_then(|status| status.code())
    }

    /// Its control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.place.path().join("run/io.agentos.sock")
    }

    /// The directory that holds its own: `state`, `run`, `work`, `agentosd.log`, `agentosd.yaml`.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("agentosd.log")).unwrap_or_default()
    }

    /// A name that no other test of this daemon uses.
    #[must_use]
    pub fn unique(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.count.fetch_add(1, Ordering::Relaxed))
    }

    /// A new directory that agents can work in.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        let path = self.place.path().join("work").join(self.unique("w"));
        fs::create_dir(&path).expect("a new workspace");
        path
    }

    /// A file with this policy, for [`Launch::new`].
    #[must_use]
    pub fn policy(&self, text: &str) -> PathBuf {
        let path = self.place.path().join(format!("{}.yaml", self.unique("policy")));
        fs::write(&path, text).expect("a new policy file");
        path
    }

    /// Where an agent's files stand on the host.
    #[must_use]
    pub fn tree(&self, name: &str) -> PathBuf {
        self.place().join("run/agents").join(name)
    }

    /// The agentos-vfs of its agents.
    ///
    /// # Panics
    /// When there is none, and none comes within 10 s.
    #[must_use]
    pub fn vfs(&self) -> i32 {
        let socket = self.place().join("run/vfs.sock").display().to_string();
        let serves = |pid: &i32| crate::judge::command_line(*pid).contains(&socket);
        let mut found = None;
        wait_until("agentos-vfs", READY, || {
            found = crate::judge::all_processes().into_iter().find(serves);
            found.is_some()
        });
        found.unwrap_or_default()
    }

    /// How many file systems are mounted in its run directory.
    ///
    /// # Panics
    /// Without /proc.
    #[must_use]
    pub fn mounts(&self) -> usize {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let run = self.place().join("run").display().to_string();
        mounts.lines().filter(|line| line.contains(&run)).count()
    }

    /// agentctl with its socket, to be completed and started.
    #[must_use]
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(binary("agentctl"));
        command.arg("--socket").arg(self.socket()).args(words).stdin(Stdio::null());
        command
    }

    /// agentctl to its end.
    #[must_use]
    pub fn agentctl(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("agentctl can be started")
    }

    /// `agentctl run --rm` in the foreground, to its end.
    #[must_use]
    pub fn run_inside(&self, launch: &Launch, argv: &[&str]) -> Output {
        let words = launch.clone().option("--rm").words(argv);
        self.command(&words).output().expect("agentctl can be started")
    }

    /// `agentctl run --detach`.
    ///
    /// # Panics
    /// When it is not started, with the reason.
    #[must_use]
    pub fn spawn(&self, launch: &Launch, argv: &[&str]) -> Agent<'_> {
        let name = launch.name.clone().unwrap_or_else(|| self.unique("agent"));
        let words = launch.clone().name(&name).option("--detach").words(argv);
        let output = self.command(&words).output().expect("agentctl can be started");
        assert!(output.status.success(), "{name} was not started: {}\n{}", crate::stderr(&output), self.log());
        Agent::new(self, name)
    }

    /// What `agentctl inspect --json` says.
    #[must_use]
    pub fn inspect(&self, name: &str) -> Value {
        let details = json(self.agentctl(&["inspect", "--json", name]));
        let parents = cgroups(&details).into_iter().filter_map(|path| path.parent().map(Path::to_owned));
        let mut known = self.cgroups.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(parents);
        known.sort();
        known.dedup();
        drop(known);
        details
    }

    /// What `agentctl ps --all --json` says.
    #[must_use]
    pub fn ps(&self) -> Value {
        json(self.agentctl(&["ps", "--all", "--json"]))
    }

    /// Host uids that are this daemon's alone.
    #[must_use]
    pub fn uids(&self) -> Range<u32> {
        self.uids.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock_child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// SIGTERM, and the end; a sentence for everything that is wrong afterwards.
    fn end(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.is_running() {
            self.find_cgroups();
            wrong.extend(stop(&mut self.lock_child()).err());
        }
        let cgroups = self.cgroups.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.extend(self.traces.left(&self.uids(), &cgroups));
        wrong
    }

    /// Learns where agents' cgroups are, from an agent that also is alive when the daemon ends.
    fn find_cgroups(&self) {
        let known = !self.cgroups.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        let name = self.unique("last");
        let words = Launch::new("base").name(&name).option("--detach").words(&["/bin/sleep", "60"]);
        // A test may have left no room for another agent; then there was one to learn it from.
        if !known && self.command(&words).output().is_ok_and(|output| output.status.success()) {
            drop(self.inspect(&name));
        }
    }
}

/// Ends the daemon as an operator does.
fn stop(child: &mut Child) -> Result<(), String> {
    kill_process(Pid::from_child(child), Signal::TERM).map_err(|error| format!("cannot signal agentosd: {error}"))?;
    let deadline = Instant::now() + END;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("agentosd ended with {status}")),
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(format!("cannot wait for agentosd: {error}")),
        }
    }
    child.kill().and_then(|()| child.wait()).map_err(|error| format!("cannot kill agentosd: {error}"))?;
    Err(format!("agentosd still ran {END:?} after SIGTERM"))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _alone = COMING_AND_GOING.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = self.end();
        if wrong.is_empty() {
            return;
        }
        let text = format!("after agentosd's end:\n  {}\nit said:\n{}", wrong.join("\n  "), self.log());
        if std::thread::panicking() {
            eprintln!("{text}");
        } else {
            panic!("{text}");
        }
    }
}

/// Starts the daemon below `place` and waits until it says that it is ready.
fn launch(place: &Path, lines: &str) -> Child {
    let config = place.join("agentosd.yaml");
    if !config.exists() {
        // No agents of the host's own, unless the test has some.
        let own = place.join("agents.d").display().to_string();
        let agents = if lines.contains("agents_dir:") { String::new() } else { format!("agents_dir: {own}\n") };
        fs::write(&config, format!("{UIDS}{agents}{lines}")).expect("the daemon's configuration");
    }
    let log_path = place.join("agentosd.log");
    let log = File::options().create(true).append(true).open(&log_path).expect("the daemon's log");
    let said = fs::metadata(&log_path).map_or(0, |data| data.len());
    let mut child = Command::new(binary("agentosd"))
        .arg("--foreground")
        .args(["--state-dir".as_ref(), place.join("state").as_os_str()])
        .args(["--run-dir".as_ref(), place.join("run").as_os_str()])
        .args(["--config".as_ref(), config.as_os_str()])
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle of the log"))
        .stderr(log)
        .spawn()
        .expect("agentosd can be started");
    wait_until("agentosd's ready line", READY, || {
        let text = fs::read(&log_path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[usize::try_from(said).unwrap_or(0)..]).into_owned();
        let ended = child.try_wait().expect("our own child");
        assert!(ended.is_none(), "agentosd ended at once ({ended:?}):\n{text}");
        text.lines().any(|line| line.contains("ready"))
    });
    child
}

/// The block of uids that the daemon has locked, by its open descriptors.
fn uid_block(pid: u32) -> Range<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the daemon's descriptors").flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let mut blocks = links.filter_map(|link| link.to_str()?.strip_prefix(UID_LOCKS)?.parse().ok());
    let first: u32 = blocks.next().expect("the daemon holds a lock on its block of uids");
    first..first + UID_BLOCK
}

/// The cgroup directories in what `inspect` said.
pub(crate) fn cgroups(details: &Value) -> Vec<PathBuf> {
    let listed = details["cgroups"].as_array().map(Vec::as_slice).unwrap_or_default();
    listed.iter().filter_map(|path| path.as_str().map(PathBuf::from)).collect()
}

fn json(output: Output) -> Value {
    let output = succeeded(output);
    serde_json::from_slice(&output.stdout).expect("agentctl --json prints JSON")
}
