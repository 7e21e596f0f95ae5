//! Promise 4: limits hold, each with a control under a larger one. What an agent that meets one does to others is in
//! `neighbours.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tests::{Agent, Daemon, hostile, own_processes, probe, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// Starts the probe with `words` under `limits`.
fn start<'d>(daemon: &'d Daemon, limits: &str, words: &[&str]) -> Agent<'d> {
    let (launch, _) = hostile(daemon, limits);
    let probe = probe();
    let argv: Vec<_> = [probe.as_str()].into_iter().chain(words.iter().copied()).collect();
    daemon.spawn(&launch, &argv)
}

/// Waits for the end: agentctl's exit code, and the reason that is recorded.
fn end(agent: &Agent<'_>) -> (Option<i32>, String) {
    let code = agent.tell(&["wait", "--timeout", "20s"]).status.code();
    let details = agent.inspect();
    (code, details["agent"]["exit"]["reason"].as_str().unwrap_or("none").to_owned())
}

fn ended(code: i32, reason: &str) -> (Option<i32>, String) {
    (Some(code), reason.to_owned())
}

#[test]
fn memory_of_every_kind_counts() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let kinds: [&[&str]; 5] = [
        &["anon", "48M"],
        &["memfd", "48M"],
        &["tmpfs", "48M", "/tmp"],
        &["tmpfs", "48M", "/dev/shm"],
        &["tmpfs", "48M", "/mem/working"],
    ];
    for kind in kinds {
        let words: Vec<_> = ["membomb"].into_iter().chain(kind.iter().copied()).collect();
        let agent = start(&daemon, "memory: 32MiB", &words);
        assert_eq!(end(&agent), ended(137, "memory"), "{kind:?}: {}", agent.output());
        assert!(!agent.output().contains("holds"), "{kind:?}: {}", agent.output());

        let agent = start(&daemon, "memory: 128MiB", &words);
        wait_until("the bomb under a larger limit", SOON, || agent.output().contains("holds 50331648"));
        let used = agent.inspect()["usage"]["memory_bytes"].as_u64().expect("usage");
        assert!((48 << 20..128 << 20).contains(&used), "{kind:?}: {used} bytes are charged");
        assert_eq!(agent.state(), "running");
    }
}

#[test]
fn files_in_the_page_cache_count_but_do_not_kill() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (launch, workspace) = hostile(&daemon, "memory: 32MiB");
    let script = "dd if=/dev/zero of=big bs=1M count=200 2> /dev/null && cat big | wc -c";
    let output = daemon.run_inside(&launch, &["sh", "-c", script]);
    assert_eq!((stdout(&output).trim(), output.status.code()), ("209715200", Some(0)), "{}", stderr(&output));
    assert_eq!(workspace.join("big").metadata().expect("the file").len(), 200 << 20);
}

#[test]
fn processes_and_threads_are_bounded_together() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let agent = start(&daemon, "pids: 40, cpu: 1.0", &["forkbomb"]);
    wait_until("the bomb to fill its limit", SOON, || own_processes(agent.uid()).len() >= 35);
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        let count = own_processes(agent.uid()).len();
        assert!(count <= 40, "{count} processes under a limit of 40");
    }
    assert_eq!(agent.state(), "running", "the limit refuses forks and kills nobody");

    let threads = |limits| {
        let agent = start(&daemon, limits, &["spin", "30"]);
        let said = || agent.output().contains("ready") || agent.state() == "exited";
        wait_until("the threads", SOON, said);
        agent.output().contains("ready")
    };
    assert!(!threads("pids: 20, cpu: 0.5"), "30 threads under a limit of 20");
    assert!(threads("pids: 40, cpu: 0.5"), "control: 30 threads under a limit of 40");
}

/// The share of one processor that two busy threads get under `limits`, and how often they were held back for it.
fn share(daemon: &Daemon, limits: &str) -> (f64, u64) {
    let agent = start(daemon, limits, &["spin", "2"]);
    wait_until("the threads", SOON, || agent.output().contains("ready"));
    let used = || agent.inspect()["usage"]["cpu_us"].as_u64().expect("usage");
    let (begin, first) = (Instant::now(), used());
    std::thread::sleep(Duration::from_secs(3));
    let microseconds = u32::try_from(used() - first).expect("a few seconds");
    let share = f64::from(microseconds) / 1e6 / begin.elapsed().as_secs_f64();
    (share, throttled(&agent))
}

/// Periods in which the group had used up its quota, by the kernel's count.
fn throttled(agent: &Agent<'_>) -> u64 {
    let texts = agent.cgroups().into_iter().filter_map(|group| std::fs::read_to_string(group.join("cpu.stat")).ok());
    let counts =
        texts.filter_map(|text| text.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.parse().ok()));
    counts.max().expect("one of its groups has a processor quota")
}

#[test]
fn processor_time_is_a_share() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let (half, held_back) = share(&daemon, "cpu: 0.5");
    assert!(half <= 0.55, "{half:.2} of a processor under a limit of 0.5");
    assert!(held_back > 10, "it was held back {held_back} times in three seconds");
    // Other programs may want the processors too, so the control is that this limit held nothing back.
    let (two, held_back) = share(&daemon, "cpu: 2.5");
    assert!(two > 0.6 || held_back == 0, "control: {two:.2} of a processor, held back {held_back} times");
}

#[test]
fn time_runs_out_by_the_policy_and_by_the_option() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let begin = Instant::now();
    let agent = start(&daemon, "wall: 1s", &["sleep"]);
    assert_eq!(end(&agent), ended(124, "wall"));
    assert!(begin.elapsed() >= Duration::from_secs(1));

    let (launch, _) = hostile(&daemon, "wall: 1h");
    let output = daemon.run_inside(&launch.clone().option("--timeout").option("300ms"), &[&probe(), "sleep"]);
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
    assert!(stderr(&output).contains("agentctl:"), "it is said that the command did not choose this code");
    let output = daemon.run_inside(&launch.option("--timeout").option("20s"), &[&probe(), "sleep", "0"]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "control");
    // The shorter of both holds.
    let (launch, _) = hostile(&daemon, "wall: 1s");
    let output = daemon.run_inside(&launch.option("--timeout").option("1h"), &[&probe(), "sleep"]);
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
}

#[test]
fn open_files_are_bounded_in_each_process() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let opened = |limits| {
        let agent = start(&daemon, limits, &["fdbomb"]);
        wait_until("the bomb", SOON, || agent.output().contains("opened"));
        let text = agent.output();
        assert!(text.contains("Too many open files"), "{text}");
        text.split_whitespace()
            .nth(1)
            .and_then(|word| word.trim_end_matches(':').parse::<usize>().ok())
            .expect("a number")
    };
    let (few, many) = (opened("files: 64"), opened("files: 2000"));
    assert!((50..64).contains(&few), "{few} under a limit of 64");
    assert!((1990..2000).contains(&many), "control: {many} under a limit of 2000");
}

#[test]
fn a_flood_of_output_ends_the_agent_and_keeps_what_was_allowed() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let agent = start(&daemon, "output: 1MiB", &["flood"]);
    assert_eq!(end(&agent), ended(137, "output"));
    let kept = agent.tell(&["logs", "--raw"]).stdout.len();
    // The piece that passed the limit is kept whole; a pipe holds 64 KiB.
    assert!((1 << 20..=(1 << 20) + (64 << 10)).contains(&kept), "{kept} bytes are kept of a limit of 1 MiB");

    let agent = start(&daemon, "output: 1MiB", &["flood", "1000000"]);
    assert_eq!(end(&agent), ended(0, "finished"), "control: a little less than the limit");
    assert_eq!(agent.tell(&["logs", "--raw"]).stdout.len(), 1_000_000);

    // A client that is attached does not change that.
    let (launch, _) = hostile(&daemon, "output: 1MiB");
    let output = daemon.run_inside(&launch, &[&probe(), "flood"]);
    assert_eq!(output.status.code(), Some(137), "{}", stderr(&output));
    assert!(stderr(&output).contains("output limit"), "{}", stderr(&output));
}

/// A file system of 256 KiB in place of a directory, until it is dropped.
struct Small(PathBuf);

impl Small {
    fn over(path: &Path) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs"]).arg(path);
        succeeded(mount.output().expect("mount can be started"));
        Self(path.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // What of the daemon's is still open on it ends with it.
        succeeded(Command::new("umount").arg("--lazy").arg(&self.0).output().expect("umount can be started"));
    }
}

#[test]
fn an_end_for_want_of_room_for_its_output_says_so() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let _small = Small::over(&daemon.place().join("state/agents"));
    let quiet = start(&daemon, "output: 64MiB", &["flood", "1000"]);
    assert_eq!(end(&quiet), ended(0, "finished"), "the control: what fits is kept");
    let agent = start(&daemon, "output: 64MiB", &["flood", "1000000"]);
    assert_eq!(end(&agent), ended(137, "killed"));
    let words = "cannot write the output log: No space left on device (os error 28); what an agent writes is kept beneath \
                 the daemon's state directory; make room on its file system";
    let detail = agent.inspect()["agent"]["exit"]["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.ends_with(words), "{detail}");
    let told = agent.tell(&["inspect"]);
    assert!(stdout(&told).contains("No space left on device"), "{}{}", stdout(&told), stderr(&told));
}
