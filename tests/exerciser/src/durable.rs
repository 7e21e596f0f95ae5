//! What fsync(2) acknowledged must be there after any end: a line on standard output for each acknowledgement.
//!
//! In each directory a log grows (`log N`: its first N records are there), and, where names may change, files are
//! replaced (`file K N`: file K holds version N or a later one, whole), files come (`made N`) and go (`gone N`).

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::fsync;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Bytes of a record of the log. Not a divisor of a page or a sector.
const RECORD: usize = 1_000;
/// Files that are replaced in turn.
const FILES: u64 = 4;

/// Whether a directory is only appended to, by its name on the command line.
fn place(argument: &Path) -> (PathBuf, Only) {
    match argument.to_str().and_then(|text| text.strip_suffix('+')) {
        Some(path) => (PathBuf::from(path), Only::Append),
        None => (argument.to_owned(), Only::Anything),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Only {
    Append,
    Anything,
}

/// Writes until something fails, as it will when the file system's server or its disk is gone.
pub(crate) fn write(directories: &[PathBuf]) -> Result<()> {
    let threads = directories.iter().enumerate().map(|(index, argument)| {
        let (path, only) = place(argument);
        std::thread::spawn(move || write_in(index, &path, only))
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        if let Ok(Err(error)) = thread.join() {
            eprintln!("exerciser: {error:#}");
        }
    }
    bail!("nothing can be written any more")
}

fn write_in(index: usize, directory: &Path, only: Only) -> Result<()> {
    let handle = File::open(directory).context("the directory")?;
    let log = directory.join("log");
    let mut plain = File::options().create(true).append(true).open(&log).context("the log")?;
    let mut synced = File::options();
    let synced = synced.append(true).custom_flags(rustix::fs::OFlags::DSYNC.bits().cast_signed());
    let mut synced = synced.open(&log).context("the log, with O_DSYNC")?;
    fsync(&handle).context("fsync of the directory")?;
    let begin = plain.metadata().context("the log")?.len() / RECORD as u64;
    let say = |text: String| println!("{index} {text}");
    for number in begin.. {
        match number % 3 {
            0 => plain.write_all(&record(number)).and_then(|()| plain.sync_all()),
            1 => plain.write_all(&record(number)).and_then(|()| plain.sync_data()),
            _ => synced.write_all(&record(number)),
        }
        .context("appending")?;
        say(format!("log {}", number + 1));
        if only == Only::Anything {
            replace(directory, number % FILES, number)?;
            fsync(&handle).context("fsync of the directory")?;
            say(format!("file {} {number}", number % FILES));
            come_and_go(directory, number)?;
            fsync(&handle).context("fsync of the directory")?;
            say(format!("made {number}"));
            if let Some(old) = number.checked_sub(1) {
                say(format!("gone {old}"));
            }
        }
    }
    Ok(())
}

/// A new version under another name, made durable, then renamed over the old one.
fn replace(directory: &Path, file: u64, version: u64) -> Result<()> {
    let next = directory.join(format!("next-{file}"));
    let mut new = File::create(&next).context("a new version")?;
    new.write_all(&content(version)).and_then(|()| new.sync_all()).context("a new version")?;
    fs::rename(next, directory.join(format!("file-{file}"))).context("rename")
}

fn come_and_go(directory: &Path, number: u64) -> Result<()> {
    fs::create_dir(directory.join(format!("dir-{number}"))).context("mkdir")?;
    fs::hard_link(directory.join("log"), directory.join(format!("made-{number}"))).context("link")?;
    if let Some(old) = number.checked_sub(1) {
        fs::remove_dir(directory.join(format!("dir-{old}"))).context("rmdir")?;
        fs::remove_file(directory.join(format!("made-{old}"))).context("unlink")?;
    }
    Ok(())
}

/// Record `number` of a log.
fn record(number: u64) -> Vec<u8> {
    let mut text = format!("{number} ").repeat(RECORD).into_bytes();
    text.truncate(RECORD - 1);
    text.push(b'\n');
    text
}

/// Version `number` of a file: of a length of its own, so that two cannot be mixed unseen.
fn content(number: u64) -> Vec<u8> {
    format!("{number}\n").repeat(100 + usize::try_from(number % 900).unwrap_or(0)).into_bytes()
}

/// Compares what was printed with what is there.
pub(crate) fn judge(directories: &[PathBuf]) -> Result<()> {
    let mut said: BTreeMap<(usize, String), u64> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.context("the list")?;
        // The writer may have been killed in the middle of its last line.
        let words: Vec<_> = line.split(' ').collect();
        if let [index, rest @ .., number] = &words[..]
            && let (Ok(index), Ok(number)) = (index.parse(), number.parse())
        {
            said.insert((index, rest.join(" ")), number);
        }
    }
    for (index, argument) in directories.iter().enumerate() {
        let (path, only) = place(argument);
        let of = |what: &str| said.get(&(index, what.to_owned())).copied();
        judge_log(&path, of("log").unwrap_or(0)).with_context(|| format!("in {}", path.display()))?;
        if only == Only::Anything {
            judge_names(&path, &of).with_context(|| format!("in {}", path.display()))?;
        }
        let (log, file) = (of("log").unwrap_or(0), of("made").map_or(0, |last| last + 1));
        println!("judge: {}: {log} records and {file} replaced files acknowledged, all there", path.display());
    }
    Ok(())
}

fn judge_log(directory: &Path, records: u64) -> Result<()> {
    let log = match fs::read(directory.join("log")) {
        Ok(log) => log,
        Err(error) if records == 0 && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("the log"),
    };
    let count = usize::try_from(records)?;
    ensure!(log.len() >= count * RECORD, "{records} records were acknowledged, the log has {} bytes", log.len());
    for (number, found) in log.chunks(RECORD).take(count).enumerate() {
        ensure!(found == record(number as u64), "record {number} of {records} is another: {}", start_of(found));
    }
    Ok(())
}

fn judge_names(directory: &Path, of: &impl Fn(&str) -> Option<u64>) -> Result<()> {
    for file in 0..FILES {
        let acknowledged = of(&format!("file {file}"));
        let path = directory.join(format!("file-{file}"));
        if acknowledged.is_none() && !path.exists() {
            continue;
        }
        let found = fs::read(&path).with_context(|| format!("file {file}, version {acknowledged:?}"))?;
        let version: Option<u64> = start_of(&found).parse().ok();
        let fits = version.is_some_and(|version| version % FILES == file && Some(version) >= acknowledged);
        let whole = version.is_some_and(|version| found == content(version));
        ensure!(
            fits && whole,
            "file {file}, acknowledged {acknowledged:?}, holds {} bytes of {}",
            found.len(),
            start_of(&found)
        );
    }
    if let Some(made) = of("made") {
        // The next one may have taken its place already.
        let there = |number: u64| {
            directory.join(format!("made-{number}")).exists() && directory.join(format!("dir-{number}")).exists()
        };
        ensure!(there(made) || there(made + 1), "neither made-{made} nor its successor is there");
    }
    if let Some(gone) = of("gone") {
        for name in [format!("made-{gone}"), format!("dir-{gone}")] {
            ensure!(!directory.join(&name).exists(), "{name} was removed and is there again");
        }
    }
    Ok(())
}

fn start_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).split_whitespace().next().unwrap_or("nothing").to_owned()
}
