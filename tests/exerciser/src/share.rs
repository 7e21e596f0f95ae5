//! Several processes on the same files: nothing of what each of them does may be lost, torn or seen half done.

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{FlockOperation, fcntl_lock, flock};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

/// Bytes of a record that is appended.
const RECORD: usize = 120;

/// Starts the processes, waits for them, and counts.
pub(crate) fn run(directory: &Path, processes: u32, rounds: u32) -> Result<()> {
    for name in ["counter", "flocked", "log"] {
        File::create(directory.join(name)).with_context(|| format!("failed to make {name}"))?;
    }
    fs::write(directory.join("whole"), whole(0, 0)).context("failed to make whole")?;
    let own = std::env::current_exe().context("failed to find this program")?;
    let start = |number: u32| {
        let (number, rounds) = (number.to_string(), rounds.to_string());
        Command::new(&own).arg("share-one").arg(directory).args([number, rounds]).spawn()
    };
    let children: Vec<_> = (0..processes).map(start).collect::<Result<_, _>>().context("failed to start a process")?;
    for mut child in children {
        let status = child.wait().context("failed to wait")?;
        ensure!(status.success(), "one of the processes failed: {status}");
    }
    let all = u64::from(processes) * u64::from(rounds);
    for name in ["counter", "flocked"] {
        let count = read_count(&File::open(directory.join(name)).context("the counter is gone")?)?;
        ensure!(count == all, "{name}: {all} processes' turns, but it counts {count}");
    }
    let log = fs::read_to_string(directory.join("log")).context("the log cannot be read")?;
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    let right = lines.iter().all(|line| line.len() == RECORD - 1);
    ensure!(right && lines.len() as u64 == all, "log: {all} records were appended, {} are there", lines.len());
    println!("share: {processes} processes, {all} turns, nothing lost");
    Ok(())
}

/// What one process does.
pub(crate) fn one(directory: &Path, number: u32, rounds: u32) -> Result<()> {
    let open = |name: &str| File::options().read(true).write(true).open(directory.join(name));
    let (counter, flocked) = (open("counter").context("counter")?, open("flocked").context("flocked")?);
    let mut log = File::options().append(true).open(directory.join("log")).context("log")?;
    for round in 0..rounds {
        fcntl_lock(&counter, FlockOperation::LockExclusive).context("fcntl(F_SETLKW)")?;
        increment(&counter)?;
        fcntl_lock(&counter, FlockOperation::Unlock).context("fcntl(F_UNLCK)")?;
        flock(&flocked, FlockOperation::LockExclusive).context("flock(LOCK_EX)")?;
        increment(&flocked)?;
        flock(&flocked, FlockOperation::Unlock).context("flock(LOCK_UN)")?;
        let record = format!("{:<width$}\n", format!("{number} {round}"), width = RECORD - 1);
        log.write_all(record.as_bytes()).context("failed to append")?;
        replace(directory, number, round)?;
    }
    Ok(())
}

fn increment(file: &File) -> Result<()> {
    let count = read_count(file)? + 1;
    file.write_all_at(&count.to_le_bytes(), 0).context("failed to write the counter")
}

fn read_count(file: &File) -> Result<u64> {
    let mut bytes = [0; 8];
    let length = file.read_at(&mut bytes, 0).context("failed to read the counter")?;
    ensure!([0, 8].contains(&length), "a counter of {length} bytes");
    Ok(u64::from_le_bytes(bytes))
}

/// Puts another file in the place of `whole`, and reads what is there then.
fn replace(directory: &Path, number: u32, round: u32) -> Result<()> {
    let own = directory.join(format!("next-{number}"));
    fs::write(&own, whole(number, round)).context("failed to write the next file")?;
    fs::rename(&own, directory.join("whole")).context("failed to replace the file")?;
    let text = fs::read_to_string(directory.join("whole")).context("the replaced file is gone")?;
    let line = text.lines().next().unwrap_or_default();
    ensure!(
        text.lines().count() == 500 && text.lines().all(|other| other == line),
        "a file is half replaced: {line:?}"
    );
    Ok(())
}

fn whole(number: u32, round: u32) -> String {
    format!("{number} {round} of everything\n").repeat(500)
}
