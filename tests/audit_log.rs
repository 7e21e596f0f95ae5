//! Promise: the audit log loses no acknowledged record, whatever ends its writer, and acknowledges none that is not on disk.
//!
//! `sealer write` prints each record that is sealed; `sealer judge` opens the log as the daemon does, verifies it, and looks
//! for each of them.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};
use tests::disk::{Disk, Ext4, empty_ext4, recover};
use tests::{Chance, binary, stderr, stdout, succeeded, times, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// A program that seals, and the list of what it was told.
struct Writer {
    child: Child,
    told: NamedTempFile,
}

impl Writer {
    fn start(log: &Path, flags: &[&str]) -> Self {
        let told = NamedTempFile::new().expect("a file");
        let mut command = Command::new(binary("sealer"));
        command.arg("write").arg(log).args(flags).stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.stdout(told.reopen().expect("our own file")).spawn().expect("sealer");
        Self { child, told }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.told.path()).expect("our own file")
    }

    /// The lines that tell of sealed records, or of refused ones.
    fn lines(&self, refused: bool) -> Vec<String> {
        let text = self.text();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.filter(|line| line.starts_with("refused ") == refused).map(str::to_owned).collect()
    }

    fn wait_for(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        wait_until(what, SOON, || {
            let ended = self.child.try_wait().expect("our own child");
            assert!(ended.is_none(), "the writer has ended: {ended:?}");
            holds(self)
        });
    }

    /// SIGKILL, and its end.
    fn kill(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        kill_process(pid, Signal::KILL).expect("our own child");
        self.child.wait().expect("our own child");
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            println!("failed to end the writer: {error}");
        }
    }
}

fn judge(log: &Path, told: &Path) -> Output {
    let list = File::open(told).expect("the list");
    Command::new(binary("sealer")).arg("judge").arg(log).stdin(list).output().expect("sealer")
}

/// Everything that was told to be sealed is there, and the log is whole.
fn judged(log: &Path, told: &Path) -> String {
    let output = judge(log, told);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

/// A mounted tmpfs.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},nosuid,nodev"), "tmpfs"]).arg(place.path());
        succeeded(mount.output().expect("mount(8)"));
        Self(place)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let output = Command::new("umount").arg(self.0.path()).output().expect("umount(8)");
        assert!(output.status.success() || std::thread::panicking(), "{}", stderr(&output));
    }
}

#[test]
fn kill_at_any_moment_loses_no_sealed_record() {
    let mut chance = Chance::new();
    let place = tempfile::tempdir().expect("a directory");
    let log = place.path().join("log");
    for run in 0..times("AUDIT_KILLS", 40) {
        // Small segments: many kills meet a rotation; every other time also a retirement.
        let segments = if run % 2 == 0 { "1000000" } else { "5" };
        let mut writer = Writer::start(&log, &["--segment", "5000", "--segments", segments, "--checkpoint", "3"]);
        writer.wait_for("a sealed record", |writer| !writer.lines(false).is_empty());
        std::thread::sleep(Duration::from_micros(chance.below(60_000)));
        writer.kill();
        assert_eq!(writer.lines(true), Vec::<String>::new(), "nothing is refused");
        print!("{run}: {}", judged(&log, writer.told.path()));
    }
}

#[test]
fn the_judge_finds_a_record_that_is_missing() {
    let place = tempfile::tempdir().expect("a directory");
    let log = place.path().join("log");
    let mut writer = Writer::start(&log, &[]);
    writer.wait_for("sealed records", |writer| writer.lines(false).len() > 20);
    writer.kill();
    judged(&log, writer.told.path());
    let more = writer.lines(false).len() + 1_000_000;
    let lie = format!("{}{more} {}\n", writer.lines(false).concat(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    fs::write(writer.told.path(), lie).expect("our own file");
    assert!(stderr(&judge(&log, writer.told.path())).contains("was sealed, and the log has"));
}

/// Fills the disk beneath `place` so that `left` bytes are left.
fn fill(place: &Path, left: u64) {
    let mut file = File::create(place.join("ballast")).expect("a file");
    let piece = [1; 4096];
    while file.write_all(&piece).is_ok() {}
    let length = file.metadata().expect("our own file").len();
    file.set_len(length.saturating_sub(left)).and_then(|()| file.sync_all()).expect("it only becomes shorter");
}

/// Fills the disk beneath `place` while records are written: then all are refused, with the reason; with room they go on.
fn full_disk(place: &Path) {
    let log = place.join("log");
    fill(place, 200_000);
    let mut writer = Writer::start(&log, &["--segment", "100000"]);
    writer.wait_for("a full disk", |writer| writer.lines(true).len() > 20);
    let refused = writer.lines(true);
    assert!(refused.iter().all(|line| line.contains("No space left on device")), "{refused:?}");
    assert!(refused.iter().all(|line| line.starts_with("refused full: write an audit record: ")), "{refused:?}");
    let sealed = writer.lines(false).len();
    assert!(sealed > 50, "it was not full from the beginning: {sealed}");
    // The control: the log was not broken by it.
    fs::remove_file(place.join("ballast")).expect("our own file");
    writer.wait_for("records to be sealed again", |writer| writer.lines(false).len() > sealed + 50);
    writer.kill();
    print!("{} refused; {}", writer.lines(true).len(), judged(&log, writer.told.path()));
}

#[test]
fn a_full_tmpfs_refuses_and_takes_again() {
    if tests::is_root() {
        let tmpfs = Tmpfs::mount("1m");
        full_disk(tmpfs.0.path());
    }
}

#[test]
fn a_full_ext4_refuses_and_takes_again() {
    if tests::is_root() {
        let file = NamedTempFile::new().expect("a file");
        fs::write(file.path(), empty_ext4(16)).expect("our own file");
        let ext4 = Ext4::mount(file.path());
        full_disk(ext4.path());
    }
}

#[test]
fn a_log_that_was_full_when_its_writer_was_killed_opens_again() {
    if !tests::is_root() {
        return;
    }
    let tmpfs = Tmpfs::mount("1m");
    let log = tmpfs.0.path().join("log");
    // Not enough for two segments.
    fill(tmpfs.0.path(), 150_000);
    let mut writer = Writer::start(&log, &["--segment", "100000", "--segments", "2"]);
    writer.wait_for("a full disk", |writer| writer.lines(true).len() > 20);
    writer.kill();
    fs::remove_file(tmpfs.0.path().join("ballast")).expect("our own file");
    judged(&log, writer.told.path());
}

#[test]
fn after_a_lost_write_nothing_is_sealed_and_what_was_is_there_after_the_power_cut() {
    if !tests::is_root() {
        return;
    }
    let mut chance = Chance::new();
    for _ in 0..times("POWER_CUTS", 12) / 3 {
        let disk = Disk::new(empty_ext4(64));
        let ext4 = Ext4::mount(&disk.file());
        let mut writer = Writer::start(&ext4.path().join("log"), &["--segment", "100000"]);
        writer.wait_for("a sealed record", |writer| !writer.lines(false).is_empty());
        std::thread::sleep(Duration::from_millis(chance.below(300)));
        // Copied before the cut: what is told afterwards nobody would have lived to hear.
        let told = NamedTempFile::new().expect("a file");
        fs::copy(writer.told.path(), told.path()).expect("our own files");
        let parts = 1 + chance.below(3);
        let image = disk.cut(|| chance.below(3) < parts - 1 + chance.below(2));
        let poisoned = "takes none since an earlier write was lost";
        writer.wait_for("the log to refuse", |writer| writer.lines(true).iter().any(|line| line.contains(poisoned)));
        let text = writer.text();
        let (_, after) = text.split_once(poisoned).expect("it is there");
        let after: Vec<_> = after.lines().skip(1).filter(|line| !line.starts_with("refused ")).collect();
        // Other threads' lines may be a little late.
        assert!(after.len() < 4, "sealed after a lost write: {after:?}");
        writer.kill();
        drop((writer, ext4, disk));
        let file = NamedTempFile::new().expect("a file");
        fs::write(file.path(), image).expect("our own file");
        recover(file.path());
        let ext4 = Ext4::mount(file.path());
        print!("{}", judged(&ext4.path().join("log"), told.path()));
    }
}
