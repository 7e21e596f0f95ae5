//! What the process looks like from within.

use std::{
    fs,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
};

use serde_json::json;

use super::say;
use crate::{credentials::Credentials, params::open_descriptors};

/// The environment, as it is.
pub(super) fn environment() -> io::Result<u8> {
    let mut out = io::stdout().lock();
    for (name, value) in std::env::vars_os() {
        out.write_all(name.as_bytes())?;
        out.write_all(b"=")?;
        out.write_all(value.as_bytes())?;
        out.write_all(b"\n")?;
    }
    Ok(0)
}

/// Three files of /proc/self; a file that cannot be read shows its error instead.
pub(super) fn status() -> io::Result<u8> {
    let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_else(|error| error.to_string());
    let fields: serde_json::Map<String, serde_json::Value> = text("status")
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_owned(), json!(value.trim())))
        .collect();
    let lines = |name: &str| text(name).lines().map(str::to_owned).collect::<Vec<_>>();
    let line = json!({"status": fields, "mountinfo": lines("mountinfo"), "cgroup": lines("cgroup")});
    say(&line.to_string()).map(|()| 0)
}

/// Descriptors 0 to 2 and every other that is open.
pub(super) fn descriptors() -> io::Result<u8> {
    for standard in 0..3 {
        if let Ok(target) = fs::read_link(format!("/proc/self/fd/{standard}")) {
            say(&format!("{standard} {}", target.display()))?;
        }
    }
    for (number, target) in open_descriptors() {
        say(&format!("{number} {}", target.display()))?;
    }
    Ok(0)
}

/// Who the process is after `execve`.
pub(super) fn credentials() -> io::Result<u8> {
    let now = Credentials::of_this_process()?;
    say(&format!("euid={}\neffective={:016x}", now.euid, now.held)).map(|()| 0)
}
