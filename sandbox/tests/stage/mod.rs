//! A stage by itself, as these tests start it, and a small plan.
#![allow(dead_code, reason = "each test program uses its own part")]

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandbox::Nursery;
use sandbox::cgroup::{Cgroup, CgroupLimits, Hierarchies};
use sandbox::message::{Claim, Failure, Key, Order, Received, Receiver, Report, send};
use sandbox::plan::{Caller, Calls, Identity, Mount, Plan, Process, Rlimits, Rule, Template, WithoutDaemon};
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};

/// A stage and its cgroup, both removed at the end.
pub(crate) struct Stage {
    pub(crate) child: Child,
    pub(crate) socket: OwnedFd,
    receiver: Receiver,
    pub(crate) cgroup: Cgroup,
    hierarchies: Hierarchies,
    /// PID 1 inside, as the host numbers it.
    pub(crate) init: i32,
    /// Where it can be claimed.
    pub(crate) place: std::path::PathBuf,
}

impl Stage {
    pub(crate) fn start(slot: &str) -> Self {
        Self::furnished(slot, Template::default())
    }

    /// With a template in its root.
    pub(crate) fn furnished(slot: &str, template: Template) -> Self {
        // Each test its own, so that none removes a directory in which another is about to make a group.
        let hierarchies = Hierarchies::open(&format!("agentos-test-{slot}")).expect("hierarchies");
        let cgroup = hierarchies.create(slot).expect("cgroup");
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("socket pair");
        let child = Command::new(env!("CARGO_BIN_EXE_agentos-stage"))
            .stdin(Stdio::from(theirs))
            .env_clear()
            .current_dir("/")
            .spawn()
            .expect("stage");
        let place = std::env::temp_dir().join(format!("agentos-stage-{slot}-{}.sock", std::process::id()));
        let mut stage =
            Self { child, socket: ours, receiver: Receiver::default(), cgroup, hierarchies, init: 0, place };
        let claim = Claim { socket: stage.place.clone(), key: Key::new("of the test".into()) };
        let nursery = Nursery::make().expect("nursery").as_fd().try_clone_to_owned().expect("nursery");
        stage.order(&Order::Prepare { cgroup: stage.cgroup.clone(), template, claim }, &[&nursery]);
        let (report, fds) = stage.report();
        assert!(matches!(report, Report::Prepared), "{report:?}");
        let [init] = &fds[..] else { panic!("the pidfd of PID 1") };
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", init.as_raw_fd())).expect("fdinfo");
        stage.init = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok()).expect("a pid");
        stage
    }

    pub(crate) fn order(&self, order: &Order, fds: &[&OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        send(self.socket.as_fd(), order, &fds).expect("order");
    }

    pub(crate) fn report(&mut self) -> (Report, Vec<OwnedFd>) {
        match self.receiver.receive(&self.socket).expect("report") {
            Received::Message(report, fds) => (report, fds),
            other => panic!("the stage ended early: {other:?}"),
        }
    }

    /// Launches and returns what the main process wrote, and how it ended.
    pub(crate) fn run(&mut self, plan: Plan) -> Result<(String, i32), Failure> {
        self.cgroup.limit(&CgroupLimits { memory: 512 << 20, pids: 64, cpu_milli: Some(1000) }).expect("limits");
        let path = std::env::temp_dir().join(format!("stage-{}-{:p}.log", std::process::id(), &raw const *self));
        let log = OwnedFd::from(File::create(&path).expect("log"));
        let served = !plan.parts.is_empty();
        self.order(&Order::Launch { plan: Box::new(plan) }, &[&log]);
        if served {
            self.order(&Order::Served, &[]);
        }
        let result = loop {
            match self.report().0 {
                Report::Started { process: 0 } => {}
                Report::Failed { process: 0, failure } => break Err(failure),
                Report::Ended { status, .. } => break Ok(status),
                other => panic!("{other:?}"),
            }
        };
        let bytes = std::fs::read(&path).expect("log");
        std::fs::remove_file(&path).expect("log");
        result.map(|status| (text(&bytes), status))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.cgroup.kill().expect("kill");
        // It may have ended, and with it the socket.
        send(self.socket.as_fd(), &Order::Dismiss, &[]).ok();
        std::fs::remove_file(&self.place).ok();
        self.child.wait().expect("stage");
        self.cgroup.remove().expect("remove");
        self.hierarchies.close().expect("close");
    }
}

pub(crate) fn text(mut bytes: &[u8]) -> String {
    let mut out = Vec::new();
    while let Some((record, length)) = sandbox::log::parse(bytes) {
        out.extend_from_slice(record.data);
        bytes = &bytes[length..];
    }
    String::from_utf8(out).expect("text")
}

pub(crate) fn plan(argv: &[&str]) -> Plan {
    let link = |path: &str| Mount::Bind { path: path.into(), executable: true, optional: true };
    let view = vec![
        link("/usr"),
        link("/bin"),
        link("/lib"),
        link("/lib64"),
        Mount::Decoy { path: "/etc/shadow".into(), directory: false },
        Mount::Tmpfs { path: "/tmp".into(), size: 16 << 20, executable: false, mode: 0o1777 },
    ];
    Plan {
        hostname: "tested".into(),
        agent: Identity { uid: 1_999_000_001, gid: 1_999_000_001 },
        init: Identity { uid: 1_999_000_000, gid: 1_999_000_000 },
        caller: Caller { uid: 0, gid: 0, groups: Vec::new() },
        view,
        parts: Vec::new(),
        rules: vec![
            Rule { path: "/usr".into(), read: true, write: false, execute: true },
            Rule { path: "/tmp".into(), read: true, write: true, execute: false },
        ],
        rlimits: Rlimits { files: 256, file_size: None },
        process: Process {
            argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
            env: vec!["PATH=/usr/bin:/bin".into()],
            cwd: "/".into(),
            terminal: None,
            attached: false,
            keep_stdin: false,
        },
        output_limit: Some(1 << 20),
        calls: Calls::Agent,
        without_daemon: WithoutDaemon::End,
    }
}

pub(crate) fn shell(script: &str) -> Plan {
    plan(&["sh", "-c", script])
}

pub(crate) fn tempdir(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("agentos-sandbox-{}-{name}", std::process::id()));
    std::fs::create_dir(&path).unwrap();
    path
}
