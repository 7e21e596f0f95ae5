//! Promise 10 at its worst: whatever dies, at moments that nobody chose, agents do their checked work, confined all the
//! while as seen from outside, and nothing of what they were told is lost.
//!
//! `CHAOS_SECONDS` says for how long (20 by default; an hour by hand), `CHAOS_SEED` repeats a run's faults. The host's clock
//! is not ours to set; it jumps in a machine of our own, in `tests/vm/guest/clock.py`.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::{Agent, Chance, Daemon, Launch, hostile, judge, probe, stdout, succeeded, times, wait_until};

const SOON: Duration = Duration::from_secs(30);
const WORK: &str = include_str!("chaos/work.py");
const WORKERS: usize = 4;

/// What is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Crash,
    Leave,
    Replace,
    Vfs,
    Both,
    Stage,
    FullDisk,
    FullMemory,
}

const FAULTS: [Fault; 8] = [
    Fault::Crash,
    Fault::Leave,
    Fault::Replace,
    Fault::Vfs,
    Fault::Both,
    Fault::Stage,
    Fault::FullDisk,
    Fault::FullMemory,
];

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    // It may have ended just now.
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
}

/// The stage of an agent: what PID 1 inside is a child of.
fn stage_of(agent: &Agent<'_>) -> i32 {
    let parent = |pid| judge::status_line(pid, "PPid").and_then(|text| text.parse().ok()).unwrap_or(0);
    parent(parent(agent.pid()))
}

/// Fills the disk of the audit log for a moment. It is a small one of the test's own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "audit"]).arg(&path);
        drop(succeeded(mount.output().expect("mount(8)")));
        Self(path)
    }

    fn fill_for(&self, moment: Duration) {
        let filler = self.0.join("filler");
        let mut file = fs::File::create(&filler).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
        std::thread::sleep(moment);
        fs::remove_file(&filler).expect("our own file");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let detached = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(detached.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

fn inject(fault: Fault, daemon: &Daemon, disk: &SmallDisk, chance: &mut Chance) {
    let dead = |chance: &mut Chance| std::thread::sleep(Duration::from_millis(chance.below(400)));
    match fault {
        Fault::Crash => {
            daemon.crash();
            dead(chance);
            daemon.start_again();
        }
        Fault::Leave => {
            daemon.leave();
            dead(chance);
            daemon.start_again();
        }
        Fault::Replace => daemon.replace(),
        Fault::Vfs => kill(daemon.vfs()),
        Fault::Both => {
            let vfs = daemon.vfs();
            daemon.crash();
            kill(vfs);
            dead(chance);
            daemon.start_again();
        }
        Fault::Stage => {
            let victim = daemon.spawn(&Launch::new("base"), &["sleep", "1000"]);
            kill(stage_of(&victim));
            wait_until("the end of an agent whose stage was killed", SOON, || victim.state() == "exited");
            // What was the stage's child is the host's to reap.
            let alive = |pid: &i32| !matches!(judge::process_state(*pid), None | Some('Z'));
            let left = || judge::uid_processes(victim.uid()).into_iter().filter(alive).count();
            wait_until("everything of it to end with its stage", SOON, || left() == 0);
        }
        Fault::FullDisk => disk.fill_for(chance.moment()),
        Fault::FullMemory => {
            let (launch, _) = hostile(daemon, "memory: 64MiB, cpu: 1.0");
            let bomb = daemon.spawn(&launch, &[&probe(), "membomb", "anon", "512M", "/dev/shm"]);
            wait_until("the bomb's end", SOON, || bomb.state() == "exited");
        }
    }
}

/// Whether the kernel says of a process what it says of an agent.
fn confined(pid: i32, uid: u32) -> bool {
    let line = |key| judge::status_line(pid, key).unwrap_or_default();
    let uids = line("Uid");
    uids.split_whitespace().all(|word| word == uid.to_string())
        && (line("NoNewPrivs").as_str(), line("Seccomp").as_str()) == ("1", "2")
        && line("CapEff").chars().all(|digit| digit == '0')
}

/// What the workers said, counted.
#[derive(Debug, Default)]
struct Report {
    done: u64,
    refused: BTreeMap<String, u64>,
    lost_connections: u64,
    wrong: Vec<String>,
    acknowledged: Vec<u64>,
}

impl Report {
    fn read(output: &str) -> Self {
        let mut report = Self::default();
        for line in output.lines() {
            let said: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if let Some(seq) = said["seq"].as_u64() {
                report.done += 1;
                report.acknowledged.push(seq);
                if said["there"] != true {
                    report.wrong.push(line.to_owned());
                }
            } else if let Some(reason) = said["refused"].as_str() {
                *report.refused.entry(reason.to_owned()).or_default() += 1;
            } else if said["lost"].is_string() {
                report.lost_connections += 1;
            } else {
                report.wrong.push(line.to_owned());
            }
        }
        report
    }
}

/// The requests that the audit log has as allowed, by number.
fn recorded(daemon: &Daemon, directory: &Path) -> HashMap<u64, Value> {
    let directory = directory.to_str().expect("a path");
    drop(succeeded(daemon.agentctl(&["audit", "verify", "--dir", directory])));
    let log = succeeded(daemon.agentctl(&["audit", "log", "--json", "--dir", directory]));
    let records = stdout(&log);
    let records = records.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    records.filter_map(|record| Some((record["seq"].as_u64()?, record["body"].clone()))).collect()
}

#[test]
fn agents_work_on_whatever_dies() {
    if !tests::is_root() {
        return;
    }
    let seconds = times("CHAOS_SECONDS", 20);
    let mut chance = match std::env::var("CHAOS_SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) => Chance::seeded(seed),
        None => Chance::new(),
    };
    let daemon = Daemon::start();
    let disk = SmallDisk::mount(daemon.place().join("state/audit"));
    // Another daemon, whose log is on that disk from its beginning.
    daemon.crash_and_restart();
    let out = daemon.workspace();
    let policy = daemon.policy(
        "extends: [python]\nfilesystem: [{path: \"${workspace}\", access: read}]\n\
         policies: [{action: file_write, paths: [\"${workspace}/**\"]}]\n",
    );
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let launch = Launch::new(&policy).workspace(&out).name(&format!("worker-{number}"));
            let words = ["/usr/bin/python3", "-c", WORK, out.to_str().expect("a path"), &format!("w{number}")];
            daemon.spawn(&launch, &words)
        })
        .collect();
    wait_until("work", SOON, || workers.iter().all(|worker| worker.output().contains("\"done\": 3")));

    let (over, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    let unconfined = AtomicU64::new(0);
    let mut faults: BTreeMap<Fault, u32> = BTreeMap::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let judged: Vec<_> = workers.iter().map(|worker| (worker.pid(), worker.uid())).collect();
            while !over.load(Ordering::Relaxed) {
                let wrong = judged.iter().filter(|(pid, uid)| !confined(*pid, *uid)).count();
                unconfined.fetch_add(wrong as u64, Ordering::Relaxed);
                looks.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let end = Instant::now() + Duration::from_secs(seconds.into());
        let injected = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while Instant::now() < end || faults.len() < FAULTS.len() {
                // Each once, then by chance.
                let number = usize::try_from(chance.below(FAULTS.len() as u64)).expect("few");
                let missing = FAULTS.into_iter().find(|fault| !faults.contains_key(fault));
                let fault = missing.unwrap_or(FAULTS[number]);
                inject(fault, &daemon, &disk, &mut chance);
                *faults.entry(fault).or_default() += 1;
                std::thread::sleep(chance.moment());
            }
        }));
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = injected {
            std::panic::resume_unwind(panic);
        }
    });

    // They still work.
    let so_far: Vec<_> = workers.iter().map(|worker| Report::read(&worker.output()).done).collect();
    for (worker, before) in workers.iter().zip(so_far) {
        let state = worker.state();
        let told = || stdout(&daemon.agentctl(&["events", worker.name()]));
        // What the kernel says, should the daemon be wrong.
        let frozen =
            worker.cgroups().into_iter().filter_map(|group| fs::read_to_string(group.join("cgroup.freeze")).ok());
        let frozen: Vec<_> = frozen.collect();
        let processes = judge::uid_processes(worker.uid());
        let states: Vec<_> = processes.iter().map(|pid| judge::process_state(*pid)).collect();
        let found = (frozen, processes, states);
        assert_eq!(state, "running", "{}: {found:?}\n{}\n{}", worker.name(), told(), daemon.log());
        wait_until("a worker to work on", SOON, || Report::read(&worker.output()).done > before);
    }
    let reports: Vec<_> = workers
        .iter()
        .map(|worker| {
            drop(succeeded(worker.tell(&["kill", "-9"])));
            Report::read(&worker.output())
        })
        .collect();
    let records = recorded(&daemon, &disk.0);
    let is_on_record = |seq: &u64| records.get(seq).is_some_and(|record| record["decision"] == "allow");
    let lost: usize =
        reports.iter().map(|report| report.acknowledged.iter().filter(|seq| !is_on_record(seq)).count()).sum();
    let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
    println!(
        "{seconds} s, faults {faults:?}: {} requests done, {} refused ({:?}), {} connections lost; {} records, {lost} lost; \
         {WORKERS} agents, 0 lost; {} looks, {} unconfined",
        sum(|report| report.done),
        sum(|report| report.refused.values().sum()),
        reports.iter().map(|report| &report.refused).collect::<Vec<_>>(),
        sum(|report| report.lost_connections),
        records.len(),
        looks.load(Ordering::Relaxed),
        unconfined.load(Ordering::Relaxed),
    );
    assert!(reports.iter().all(|report| report.wrong.is_empty()), "{reports:?}");
    assert!(sum(|report| report.done) > u64::from(seconds), "hardly anything was done");
    assert!(looks.load(Ordering::Relaxed) > u64::from(seconds), "control: somebody looked");
    assert_eq!((lost, unconfined.load(Ordering::Relaxed)), (0, 0));
}
