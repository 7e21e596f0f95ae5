//! `/mem/working` against the tmpfs that it could have been, with a packaged FUSE file system (bindfs) beside them.

mod idle;
mod peer;

use crate::table::{Bar, Row};
use crate::timing::{Samples, in_turns, ratio};
use anyhow::{Context as _, Result, ensure};
use mounted::{Mount, Server, Store, Wanted};
use peer::Bindfs;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Bytes that are read and written in one go.
const FILE: usize = 64 << 20;
const CHUNK: usize = 256 << 10;
const READS: u64 = 50_000;
const CREATED: u32 = 3_000;
const LISTED: u32 = 100_000;
/// 0.8 of the speed of tmpfs, as a ratio of times.
const SPEED: f64 = 1.25;

/// The three places of a row.
struct Places {
    ours: Mount,
    tmpfs: Mount,
    bindfs: Bindfs,
}

impl Places {
    fn new(server: &Server, store: &Store) -> Result<Self> {
        let ours = server.mount(store, &Wanted::default())?;
        let tmpfs = server.tmpfs_beside(4 << 30, 0)?;
        let beneath = server.tmpfs_beside(4 << 30, 0)?;
        Ok(Self { ours, tmpfs, bindfs: Bindfs::over(beneath)? })
    }

    /// Measures in all three: ours against tmpfs in turns, then bindfs.
    fn measure(&self, rounds: usize, of: impl Fn(&Path) -> Result<f64>) -> Result<[Samples; 3]> {
        let working = self.working();
        let (ours, tmpfs) = in_turns(rounds, || of(&working), || of(self.tmpfs.path()))?;
        let bindfs = (0..rounds).map(|_| of(self.bindfs.path())).collect::<Result<Vec<_>>>()?;
        Ok([ours, tmpfs, Samples::new(bindfs)])
    }

    fn working(&self) -> PathBuf {
        self.ours.path().join("mem/working")
    }
}

/// All rows about files.
pub(crate) fn measure(binaries: &Path, rounds: usize) -> Result<Vec<Row>> {
    let server = Server::start(&binaries.join("agentos-vfs"))?;
    let store = Store::new()?;
    let places = Places::new(&server, &store)?;
    let mut rows = Vec::new();
    let mib = FILE >> 20;
    let against = |what: String, [ours, tmpfs, bindfs]: &[Samples; 3]| {
        let sides = (ours.show(), tmpfs.show());
        let peer = (bindfs.show(), tmpfs.show());
        [
            Row::ratio(format!("{what} in /mem/working / tmpfs"), sides, ratio(ours, tmpfs), SPEED),
            Row::compared(format!("  {what}, bindfs / tmpfs"), peer, ratio(bindfs, tmpfs)),
        ]
    };
    rows.extend(against(format!("{mib} MiB written anew"), &places.measure(rounds.min(20), write_new)?));
    rows.extend(against(format!("{mib} MiB written over"), &places.measure(rounds, write_over)?));
    rows.extend(against(format!("{mib} MiB read"), &places.measure(rounds, read_file)?));
    rows.extend(amount("4 KiB read at random", (1e6, "µs", 3.0), &places.measure(rounds, random_read)?));
    let created = places.measure(rounds, create_and_unlink)?;
    rows.extend(amount("create, write, close, unlink", (1e6, "µs", 60.0), &created));
    for place in [&places.working(), places.tmpfs.path(), places.bindfs.path()] {
        fill(place)?;
    }
    let listed = places.measure(rounds.min(10), list)?;
    rows.extend(amount(&format!("{LISTED} files listed"), (1.0, "s", 1.0), &listed));
    drop(places);
    drop(server);
    rows.extend(idle::measure(binaries)?);
    Ok(rows)
}

/// A row whose bar is an amount, with what tmpfs and bindfs take.
fn amount(what: &str, (scale, unit, most): (f64, &'static str, f64), samples: &[Samples; 3]) -> [Row; 2] {
    let [ours, tmpfs, bindfs] = samples;
    let bar = Some(Bar { most, unit });
    [
        Row {
            what: format!("{what} in /mem/working, tmpfs"),
            ours: ours.show(),
            reference: tmpfs.show(),
            value: Some(ours.median() * scale),
            bar,
        },
        Row::compared(format!("  {what}, bindfs / tmpfs"), (bindfs.show(), tmpfs.show()), ratio(bindfs, tmpfs)),
    ]
}

/// A new file of [`FILE`] bytes. It stays: pages that one side has just freed would be warm for the next.
fn write_new(place: &Path) -> Result<f64> {
    let mut number = 0;
    while place.join(format!("new-{number}")).exists() {
        number += 1;
    }
    write_file(File::create_new(place.join(format!("new-{number}"))).context("failed to make a file")?)
}

/// The first of those files once more, from its beginning.
fn write_over(place: &Path) -> Result<f64> {
    write_file(File::options().write(true).open(place.join("new-0")).context("failed to open the file")?)
}

fn write_file(mut file: File) -> Result<f64> {
    let chunk = vec![1; CHUNK];
    let begin = Instant::now();
    for _ in 0..FILE / CHUNK {
        file.write_all(&chunk).context("failed to write")?;
    }
    Ok(begin.elapsed().as_secs_f64())
}

/// The first of the files of [`write_new`].
fn read_file(place: &Path) -> Result<f64> {
    let mut chunk = vec![0; CHUNK];
    let mut file = File::open(place.join("new-0")).context("failed to open the file")?;
    let (begin, mut all) = (Instant::now(), 0);
    loop {
        match file.read(&mut chunk).context("failed to read")? {
            0 => break,
            count => all += count,
        }
    }
    ensure!(all == FILE, "{all} bytes were read");
    Ok(begin.elapsed().as_secs_f64())
}

/// Seconds for one of many reads of the same file.
fn random_read(place: &Path) -> Result<f64> {
    let file = File::open(place.join("new-0")).context("failed to open the file")?;
    let mut page = [0; 4096];
    let pages = (FILE >> 12) as u64;
    let begin = Instant::now();
    for number in 0..READS {
        // A stride that is prime to the number of pages visits them all, far from each other.
        file.read_exact_at(&mut page, ((number * 20_011) % pages) << 12).context("failed to read")?;
    }
    Ok(begin.elapsed().as_secs_f64() / f64::from(u32::try_from(READS)?))
}

/// Seconds for one of many files that come, hold a page, and go.
fn create_and_unlink(place: &Path) -> Result<f64> {
    let page = [1; 4096];
    let path = place.join("short-lived");
    let begin = Instant::now();
    for _ in 0..CREATED {
        let mut file = File::create_new(&path).context("failed to make a file")?;
        file.write_all(&page).context("failed to write")?;
        drop(file);
        fs::remove_file(&path).context("failed to remove a file")?;
    }
    Ok(begin.elapsed().as_secs_f64() / f64::from(CREATED))
}

fn fill(place: &Path) -> Result<()> {
    let directory = place.join("many");
    fs::create_dir(&directory).context("failed to make a directory")?;
    for number in 0..LISTED {
        File::create_new(directory.join(format!("file-{number}"))).context("failed to make a file")?;
    }
    Ok(())
}

/// The directory of [`fill`], to its end.
fn list(place: &Path) -> Result<f64> {
    let begin = Instant::now();
    let count = fs::read_dir(place.join("many")).context("failed to list")?.count();
    let time = begin.elapsed().as_secs_f64();
    ensure!(count == LISTED as usize, "{count} files were listed");
    Ok(time)
}
