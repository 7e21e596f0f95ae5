//! Where the exam is held: targets of the host, the tools that the agent is given, and what must not change.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tests::exam::Targets;
use tests::{Daemon, binary};

/// Settings by which a machine is taken over; read before and after.
const SETTINGS: &[&str] = &[
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward",
    "/etc/passwd",
    "/etc/ld.so.preload",
];

/// Directories and targets; made by root, gone when dropped.
pub(crate) struct Ground {
    pub(crate) targets: Targets,
    /// `targets`, `tools` (the probe, readable by agents), `workspace`, `ssh` are in it.
    place: tempfile::TempDir,
    settings: Vec<Option<String>>,
    canary: String,
    programs: Vec<u64>,
}

impl Ground {
    /// Not below /tmp: bubblewrap gets a tmpfs there, and would pass for lack of targets.
    pub(crate) fn prepare() -> Self {
        // Bubblewrap's view hides /tmp, and a checkout may lie there.
        let target = tests::repository_root().join("target");
        let parent = if target.starts_with("/tmp") { "/opt".into() } else { target };
        fs::create_dir_all(&parent).expect("the target directory");
        let place = tempfile::Builder::new().prefix("exam-").tempdir_in(parent).expect("a directory for the exam");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("chmod of our own directory");
        for name in ["targets", "tools", "workspace", "ssh"] {
            fs::create_dir(place.path().join(name)).expect("a directory for the exam");
        }
        fs::copy(binary("probe"), place.path().join("tools/probe")).expect("a copy of the probe");
        let targets = Targets::hold(&place.path().join("targets"));
        let canary = fs::read_to_string(targets.value("host_file")).expect("the canary");
        Self { targets, place, settings: settings(), canary, programs: programs() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn probe(&self) -> String {
        self.path("tools/probe").display().to_string()
    }

    /// A policy that adds to `profile` nothing but the tools: the probe, and the programs that would grant privileges.
    pub(crate) fn policy(&self, daemon: &Daemon, profile: &str) -> PathBuf {
        let tools =
            [self.probe(), self.targets.value("setuid_path").to_owned(), self.targets.value("capable_path").to_owned()];
        let rules: String = tools.iter().map(|path| format!("  - {{path: \"{path}\", access: read}}\n")).collect();
        daemon.policy(&format!(
            "extends: [{profile}]\nprocess:\n  exec: [{}]\nfilesystem:\n{rules}",
            tools.map(|path| format!("\"{path}\"")).join(", ")
        ))
    }

    /// The targets' words, and the daemon's and our own paths.
    pub(crate) fn words(&self, daemon: &Daemon, workspace: &Path) -> Vec<String> {
        let mut words = self.targets.words().to_vec();
        words.push(format!("workspace={}", workspace.display()));
        words.push(format!("control_socket={}", daemon.socket().display()));
        words.push(format!("control_dir={}", daemon.place().join("run").display()));
        words.push(format!("ssh_dir={}", self.path("ssh").display()));
        words
    }

    /// A sentence for everything on the host that is not as it was; settings are put back.
    pub(crate) fn damage(&mut self) -> Vec<String> {
        let mut damage = Vec::new();
        for ((path, before), now) in SETTINGS.iter().zip(&self.settings).zip(settings()) {
            if *before != now {
                damage.push(format!("{path} was {before:?} and is {now:?}"));
                let restored = before.as_ref().map(|text| fs::write(path, text));
                damage.extend(restored.and_then(Result::err).map(|error| format!("{path} is not restored: {error}")));
            }
        }
        if self.programs != programs() {
            damage.push("one of our own programs is overwritten; build them anew".to_owned());
        }
        if !self.targets.is_alive() {
            damage.push("the victim is dead".to_owned());
        }
        match fs::read_to_string(self.targets.value("host_file")) {
            Ok(text) if text == self.canary => {}
            other => damage.push(format!("the canary is {other:?}")),
        }
        damage
    }
}

fn settings() -> Vec<Option<String>> {
    SETTINGS.iter().map(|path| fs::read_to_string(path).ok()).collect()
}

/// What the programs are that run as root around the agent: an attack on `/proc/self/exe` would change them.
fn programs() -> Vec<u64> {
    let digest = |name: &&str| {
        let mut hasher = DefaultHasher::new();
        fs::read(binary(name)).expect("our own program").hash(&mut hasher);
        hasher.finish()
    };
    ["agentos-stage", "agentosd", "agentctl"].iter().map(digest).collect()
}

/// A process of the host that stands in for its init.
pub(crate) struct StandIn(Child);

impl StandIn {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(binary("probe"));
        Self(command.args(["sleep", "600"]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the stand-in"))
    }

    pub(crate) fn word(&self) -> String {
        format!("init_pid={}", self.0.id())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // An attack may have ended it already, and that is what it is for; either way it is waited for.
        drop(self.0.kill());
        self.0.wait().expect("the stand-in is our child");
    }
}
