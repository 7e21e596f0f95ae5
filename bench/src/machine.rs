//! What the figures were taken on.

use anyhow::{Context as _, Result};
use std::fs;
use std::process::Command;

/// A sentence: kernel, processors, memory, date.
pub(crate) fn describe() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("failed to read osrelease")?;
    let cpus = fs::read_to_string("/proc/cpuinfo").context("failed to read /proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |m| m.1);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").context("failed to read /proc/meminfo")?;
    let kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(0);
    let version = Command::new("bwrap").arg("--version").output().context("failed to run bwrap --version")?;
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().context("failed to run date")?;
    Ok(format!(
        "{}, Linux {} {}, {count} × {model}, {:.0} GiB memory, {}",
        String::from_utf8_lossy(&date.stdout).trim(),
        release.trim(),
        std::env::consts::ARCH,
        f64::from(u32::try_from(kib >> 10).unwrap_or(u32::MAX)) / 1024.0,
        String::from_utf8_lossy(&version.stdout).trim(),
    ))
}
