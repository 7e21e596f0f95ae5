//! What the test tells the program: real targets on the host, and whether this is the inside of a sandbox.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsString},
    fs,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        process::parent_id,
    },
    path::{Path, PathBuf},
};

use crate::outcome::Refusal;

/// The inode of the first process namespace, fixed in the kernel (`PROC_PID_INIT_INO`).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

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

    /// Takes one `key=value`; `None` when there is no `=`.
    pub(crate) fn accept(&mut self, word: &str) -> Option<()> {
        let (key, value) = word.split_once('=')?;
        self.values.insert(key.to_owned(), value.to_owned());
        Some(())
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

    /// A new, empty directory for the attempt, in `scratch=` or /tmp. The attempt leaves it empty; the runner removes it.
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
