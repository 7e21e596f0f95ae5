//! What the test tells the program: real targets on the host, and whether this is the inside of a sandbox.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsString},
    fs, io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        process::parent_id,
    },
    path::{Path, PathBuf},
};

use crate::outcome::Refusal;

/// The inode of the first process namespace, fixed in the kernel (`PROC_PID_INIT_INO`).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Every key that `probe run` takes, and what it names.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    ("inside", "1: this is a sandbox; needed by attacks that would hurt a host"),
    ("host_pid", "a process outside, leader of its group; its number must not be in use inside"),
    ("host_addr", "the address of the canary in its memory"),
    ("host_fd", "a descriptor that it has"),
    ("host_file", "a file of the host that the agent was not given"),
    ("host_canary", "a text in that file"),
    ("init_pid", "the first process (default 1; outside a stand-in must be named)"),
    ("workspace", "the agent's directory (default: the working directory)"),
    ("scratch", "where attempts may make a directory (default /tmp)"),
    ("socket_path", "a unix socket of the host"),
    ("abstract_name", "an abstract unix socket of the host"),
    ("control_socket", "the daemon's socket (default /run/agentos/io.agentos.sock)"),
    ("control_dir", "the daemon's directory (default /run/agentos)"),
    ("ssh_dir", "a directory with keys (default /root/.ssh)"),
    ("port", "a TCP listener on 127.0.0.1 of the host"),
    ("port6", "a TCP listener on ::1 of the host"),
    ("udp_port", "a UDP echo on 127.0.0.1 of the host"),
    ("sysv_key", "the key of shared memory, a semaphore and a message queue of the host"),
    ("mqueue", "a POSIX message queue of the host, without its slash"),
    ("setuid_path", "a set-uid copy of this program"),
    ("capable_path", "a copy of this program with a file capability"),
    ("env_allow", "names that may be in the environment, with commas between"),
];

/// The `key=value` words of the command line, and what the process looked like when it started.
pub(crate) struct Params {
    values: BTreeMap<String, String>,
    /// Descriptors above 2 that were open at the start, with what they point at.
    pub(crate) descriptors: Vec<(i32, PathBuf)>,
    /// The names in the environment at the start. Values stay out of every report.
    pub(crate) environment: Vec<OsString>,
    /// The process that started the program.
    pub(crate) parent: u32,
}

impl Params {
    /// Takes the picture. Must come first in `main`, before anything is opened.
    pub(crate) fn at_start() -> Self {
        Self {
            values: BTreeMap::new(),
            descriptors: open_descriptors(),
            environment: std::env::vars_os().map(|(name, _)| name).collect(),
            parent: parent_id(),
        }
    }

    /// Takes one `key=value`. A key that no primitive reads is refused: a misspelt target would look like a denial.
    pub(crate) fn accept(&mut self, key: &str, value: &str) -> io::Result<()> {
        if !PARAMETERS.iter().any(|(known, _)| *known == key) {
            return Err(io::Error::other(format!("{key}= is no parameter; `probe help` lists them")));
        }
        self.values.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// The value of `key`, if it was given.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The value of `key`; the primitive is `absent` without it.
    pub(crate) fn text(&self, key: &str) -> Result<&str, Refusal> {
        self.get(key).ok_or_else(|| Refusal::Absent(format!("no target: {key}= was not given")))
    }

    /// The value of `key` as a number, decimal or `0x…`.
    pub(crate) fn number<T: TryFrom<u64>>(&self, key: &str) -> Result<T, Refusal> {
        let text = self.text(key)?;
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        parsed
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| Refusal::Error(format!("{key}={text} is not a number in range")))
    }

    /// The value of `key` as a path for the kernel.
    pub(crate) fn path(&self, key: &str) -> Result<CString, Refusal> {
        c_path(Path::new(self.text(key)?))
    }

    /// A process that exists on the host and is no relative of this one.
    pub(crate) fn host_pid(&self) -> Result<i32, Refusal> {
        self.number("host_pid")
    }

    /// The first process of this sandbox. Outside it must be named: the host's own init is never a target.
    pub(crate) fn init_pid(&self) -> Result<i32, Refusal> {
        if self.get("init_pid").is_some() {
            return self.number("init_pid");
        }
        if in_initial_pid_namespace() {
            return Err(Refusal::Error(
                "refused: PID 1 is the host's init here; name a stand-in with init_pid=".into(),
            ));
        }
        Ok(1)
    }

    /// True when the test says that this is a sandbox and the process namespace agrees.
    pub(crate) fn inside(&self) -> bool {
        self.get("inside") == Some("1") && !in_initial_pid_namespace()
    }

    /// The directory that the agent works in.
    pub(crate) fn workspace(&self) -> Result<PathBuf, Refusal> {
        match self.get("workspace") {
            Some(path) => Ok(PathBuf::from(path)),
            None => Ok(std::env::current_dir()?),
        }
    }

    /// A new, empty directory for the attempt, in `scratch=` or /tmp. The attempt leaves it empty; the runner removes
    /// it.
    pub(crate) fn scratch(&self) -> Result<PathBuf, Refusal> {
        let path = self.scratch_path();
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// Where the scratch directory of this process is or would be.
    pub(crate) fn scratch_path(&self) -> PathBuf {
        Path::new(self.get("scratch").unwrap_or("/tmp")).join(format!("probe-scratch-{}", std::process::id()))
    }
}

/// A path as the kernel takes it.
pub(crate) fn c_path(path: &Path) -> Result<CString, Refusal> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Refusal::Error("a path holds a NUL byte".into()))
}

/// True on the host itself, and where it cannot be told.
pub(crate) fn in_initial_pid_namespace() -> bool {
    fs::read_link("/proc/self/ns/pid").map_or(true, |link| link == Path::new(INITIAL_PID_NAMESPACE))
}

/// Descriptors above 2 with what they point at; without /proc, the ones that `fcntl` knows.
pub(crate) fn open_descriptors() -> Vec<(i32, PathBuf)> {
    // Reading the directory opens a descriptor of its own, which is closed again when the links are read.
    let numbers: Vec<i32> = match fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect(),
        Err(_) => (3..1024).collect(),
    };
    numbers
        .into_iter()
        .filter(|number| *number > 2 && is_open(*number))
        .map(|number| {
            let link = fs::read_link(format!("/proc/self/fd/{number}"));
            (number, link.unwrap_or_else(|_| OsString::from_vec(b"?".to_vec()).into()))
        })
        .collect()
}

fn is_open(number: i32) -> bool {
    crate::syscall::call(libc::SYS_fcntl, &[number.into(), libc::F_GETFD.into()]).is_ok()
}
