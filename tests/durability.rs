//! Promise: what `fsync` has acknowledged in /mem/semantic, /mem/episodic and /state is there after the death of the server and
//! after a power cut, and a name stands for the old file or the new one, whole.
//!
//! The writer is `exerciser durable`: each line that it prints is an acknowledgement. `exerciser judge` compares them with
//! what a new server on the same store shows.

use mounted::{AGENT, Mount, Server, Store, Wanted, as_user};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};
use tests::disk::{Disk, Ext4, empty_ext4, recover};
use tests::{Chance, binary, reachable, succeeded, times, wait_until};

/// Size of the disk whose power is cut.
const MEBIBYTES: u64 = 64;
const SOON: Duration = Duration::from_secs(20);

/// A program that writes as the agent does, and the list of what it was told is durable.
struct Writer {
    child: Child,
    acknowledged: NamedTempFile,
}

/// The programs, and where they lie.
struct Exerciser {
    path: PathBuf,
    _place: TempDir,
}

impl Exerciser {
    fn new() -> Self {
        let (path, place) = reachable("exerciser");
        Self { path, _place: place }
    }

    /// Makes the directories of a run and writes in them.
    fn write(&self, mount: &Mount, run: u32) -> Writer {
        for directory in directories(mount.path(), run) {
            let plain = directory.trim_end_matches('+').to_owned();
            succeeded(as_user(AGENT, "mkdir").arg(plain).output().expect("mkdir(1)"));
        }
        let acknowledged = NamedTempFile::new().expect("a file");
        let child = self.command("durable", mount.path(), run);
        let child = { child }.stdout(acknowledged.reopen().expect("our own file")).spawn().expect("the exerciser");
        Writer { child, acknowledged }
    }

    /// Whether what was acknowledged is there.
    fn judge(&self, root: &Path, run: u32, acknowledged: &Path) -> std::process::Output {
        let list = File::open(acknowledged).expect("the list");
        self.command("judge", root, run).stdin(list).output().expect("the exerciser")
    }

    fn command(&self, what: &str, root: &Path, run: u32) -> Command {
        let mut command = as_user(AGENT, &self.path);
        command.arg(what).args(directories(root, run)).stdin(Stdio::null());
        command
    }
}

impl Writer {
    /// Waits until something was acknowledged and then until `moment` has passed.
    fn at_work(&mut self, moment: Duration) {
        wait_until("an acknowledgement", SOON, || {
            let length = self.acknowledged.as_file().metadata().expect("our own file").len();
            let ended = self.child.try_wait().expect("our own child");
            assert!(ended.is_none(), "the writer has ended before anything happened: {ended:?}");
            length > 0
        });
        std::thread::sleep(moment);
    }

    /// Waits until it has ended by itself, which errors let it do and a hanging call does not.
    fn ends(&mut self) {
        wait_until("the writer's end", SOON, || self.child.try_wait().expect("our own child").is_some());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            println!("failed to end the writer: {error}");
        }
    }
}

/// Where run number `run` writes: everywhere that is on disk. `+` is for the writer: only append there.
fn directories(root: &Path, run: u32) -> Vec<String> {
    let parts = [("mem/semantic", ""), ("state", ""), ("mem/episodic", "+")];
    parts.map(|(part, only)| format!("{}/run-{run}{only}", root.join(part).display())).to_vec()
}

fn start(store: &Store) -> (Server, Mount) {
    let server = Server::start(&binary("agentos-vfs")).expect("the server starts");
    let mount = server.mount(store, &Wanted::default()).expect("the store is served");
    (server, mount)
}

#[test]
fn what_was_acknowledged_survives_the_death_of_the_server() {
    if !tests::is_root() {
        return;
    }
    let (exerciser, mut chance) = (Exerciser::new(), Chance::new());
    let store = Store::new().expect("a store");
    for run in 0..times("SERVER_KILLS", 8) {
        let (mut server, mount) = start(&store);
        let mut writer = exerciser.write(&mount, run);
        writer.at_work(chance.moment());
        server.kill();
        writer.ends();
        drop((mount, server));
        let (server, mount) = start(&store);
        let output = succeeded(exerciser.judge(mount.path(), run, writer.acknowledged.path()));
        print!("{}", tests::stdout(&output).replace(&mount.path().display().to_string(), ""));
        drop((mount, server));
    }
}

/// One power cut while `run` is written; the disk as it comes back, and the writer's list.
fn cut(image: Vec<u8>, run: u32, exerciser: &Exerciser, chance: &mut Chance) -> (Vec<u8>, NamedTempFile) {
    let disk = Disk::new(image);
    let ext4 = Ext4::mount(&disk.file());
    let (mut server, mount) = start(&Store::at(&ext4.path().join("store")).expect("a store"));
    let mut writer = exerciser.write(&mount, run);
    writer.at_work(chance.moment());
    // Copied before the cut: ext4 acknowledges now and then what it could not write any more, which with a real cut nobody
    // would have lived to see.
    let acknowledged = NamedTempFile::new().expect("a file");
    std::fs::copy(writer.acknowledged.path(), acknowledged.path()).expect("our own files");
    // All, none, or some of what was on its way.
    let parts = 1 + chance.below(3);
    let image = disk.cut(|| chance.below(3) < parts - 1 + chance.below(2));
    writer.ends();
    server.kill();
    drop((writer, mount, server, ext4, disk));
    (image, acknowledged)
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    if !tests::is_root() {
        return;
    }
    let (exerciser, mut chance) = (Exerciser::new(), Chance::new());
    let mut image = empty_ext4(MEBIBYTES);
    for run in 0..times("POWER_CUTS", 12) {
        let (found, acknowledged) = cut(image, run, &exerciser, &mut chance);
        let file = NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), found).expect("our own file");
        recover(file.path());
        let ext4 = Ext4::mount(file.path());
        let (server, mount) = start(&Store::at(&ext4.path().join("store")).expect("the store"));
        let output = succeeded(exerciser.judge(mount.path(), run, acknowledged.path()));
        print!("{}", tests::stdout(&output).replace(&mount.path().display().to_string(), ""));
        drop((mount, server, ext4));
        image = std::fs::read(file.path()).expect("our own file");
    }
}

#[test]
fn the_disk_forgets_what_was_not_flushed_and_keeps_what_was() {
    if !tests::is_root() {
        return;
    }
    let disk = Disk::new(empty_ext4(MEBIBYTES));
    let ext4 = Ext4::mount(&disk.file());
    let write = |name: &str| std::fs::write(ext4.path().join(name), name.repeat(1000)).expect("there is room");
    write("kept");
    File::open(ext4.path().join("kept")).and_then(|file| file.sync_all()).expect("fsync");
    write("lost");
    let image = disk.cut(|| false);
    let late = File::create(ext4.path().join("late")).and_then(|file| file.sync_all());
    assert!(late.is_err(), "nothing is acknowledged without power");
    drop((ext4, disk));
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), image).expect("our own file");
    recover(file.path());
    let ext4 = Ext4::mount(file.path());
    assert_eq!(std::fs::read(ext4.path().join("kept")).expect("it was flushed"), "kept".repeat(1000).as_bytes());
    assert!(!ext4.path().join("lost").exists(), "what was not flushed is lost");
}
