//! What mounts that nobody uses cost: our process, and the kernel's memory for them.
//!
//! The kernel's part is in no process. So the whole is taken as what is less available on the host (`MemAvailable`: caches
//! that can be freed do not count) from before the first mount until after the last, the most of several readings each.

use super::peer::Bindfs;
use crate::idle::pss;
use crate::table::{Bar, Row};
use anyhow::{Context as _, Result};
use mounted::{Server, Store, Wanted};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MOUNTS: u32 = 1000;
const PEERS: u32 = 20;

pub(super) fn measure(binaries: &Path) -> Result<Vec<Row>> {
    let server = Server::start(&binaries.join("agentos-vfs"))?;
    let own = PathBuf::from(format!("/proc/{}", server.pid()));
    let wanted = Wanted { bytes: 64 << 20, inodes: 10_000, ..Wanted::default() };
    let (before, alone) = (available()?, pss(&own)?);
    let mut mounts = Vec::new();
    for _ in 0..MOUNTS {
        let store = Store::new()?;
        let mount = server.mount(&store, &wanted)?;
        mounts.push((mount, store));
    }
    let (after, with) = (available()?, pss(&own)?);
    drop(mounts);
    let each = |all: u64| f64::from(u32::try_from(all).unwrap_or(u32::MAX)) / f64::from(MOUNTS);
    let ours = each(with.saturating_sub(alone));
    // The host's own changes meanwhile may hide some of it; what the process has is the least that it can be.
    let all = each(before.saturating_sub(after)).max(ours);
    let bindfs = peers(&server)?;
    Ok(vec![
        Row {
            what: format!("memory of an idle mount, {MOUNTS} mounts, the kernel's too"),
            ours: format!("{all:.0} KiB"),
            reference: format!("bindfs {bindfs:.0} KiB"),
            value: Some(all),
            bar: Some(Bar { most: 150.0, unit: "KiB" }),
        },
        Row::figure("  of it agentos-vfs (PSS)", format!("{ours:.1} KiB")),
        Row::figure("  agentos-vfs without mounts (PSS)", format!("{alone} KiB")),
    ])
}

/// KiB that a mount of bindfs takes in the same way.
fn peers(server: &Server) -> Result<f64> {
    let before = available()?;
    let running = (0..PEERS).map(|_| Bindfs::over(server.tmpfs_beside(64 << 20, 0)?)).collect::<Result<Vec<_>>>()?;
    let after = available()?;
    let pss: u64 = running.iter().map(|one| pss(Path::new(&format!("/proc/{}", one.pid())))).sum::<Result<u64>>()?;
    // With few mounts the host's own changes are as large; what the processes have is the least that it can be.
    let all = before.saturating_sub(after).max(pss);
    Ok(f64::from(u32::try_from(all)?) / f64::from(PEERS))
}

/// KiB that are available, the most of some readings.
fn available() -> Result<u64> {
    let mut most = 0;
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(200));
        let text = fs::read_to_string("/proc/meminfo").context("failed to read /proc/meminfo")?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).context("no MemAvailable")?;
        most = most.max(line.trim().trim_end_matches(" kB").parse().context("MemAvailable is no number")?);
    }
    Ok(most)
}
