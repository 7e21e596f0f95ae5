//! Promise 6: quotas of `/mem` and `/state` hold, and what is to expire does.

use std::time::{Duration, Instant};
use tests::{Agent, Daemon, Launch, stderr, stdout, wait_until};

const SOON: Duration = Duration::from_secs(10);
const ON_DISK: [&str; 3] = ["/mem/episodic", "/mem/semantic", "/state"];

fn small(daemon: &Daemon, memory: &str) -> Launch {
    Launch::new(daemon.policy(&format!("extends: [base]\nmemory: {{{memory}}}\n")))
}

/// What a script prints inside.
fn says(daemon: &Daemon, launch: &Launch, script: &str) -> String {
    let output = daemon.run_inside(launch, &["sh", "-c", script]);
    format!("{}{}", stdout(&output), stderr(&output))
}

#[test]
fn bytes_past_the_quota_are_refused_and_come_back() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let memory = "working: 4MiB, episodic: 4MiB, semantic: 4MiB, state: 4MiB";
    let launch = small(&daemon, memory).name(&daemon.unique("bytes"));
    for part in ["/mem/working", "/mem/semantic", "/state"] {
        let script = format!(
            "cd {part}; head -c 3M /dev/zero > a && echo fits; head -c 3M /dev/zero > b || echo refused;
             rm a b; until head -c 3M /dev/zero > c; do sleep 0.1; done && echo again; truncate -s 8M c || echo no longer either; rm c"
        );
        let text = says(&daemon, &launch, &script);
        assert!(text.contains("No space left on device"), "{part}: {text}");
        // A hole in memory takes none.
        let words = if part == "/mem/working" { "fits refused again" } else { "fits refused again no longer either" };
        let said: Vec<_> = text.lines().filter(|line| !line.contains(':')).collect();
        assert_eq!(said.join(" "), words, "{part}: {text}");
    }
    let script = "cd /mem/episodic; head -c 3M /dev/zero > a && echo fits; head -c 3M /dev/zero >> a || echo refused";
    let text = says(&daemon, &launch, script);
    assert!(text.contains("fits\n") && text.contains("refused\n"), "{text}");
}

#[test]
fn working_memory_holds_its_quota_and_not_a_byte_more() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let launch = small(&daemon, "working: 4MiB").name(&daemon.unique("exact"));
    let script = "cd /mem/working; head -c 9M /dev/zero > a; stat -c %s a; df --output=size,avail -B1 . | tail -1";
    let text = says(&daemon, &launch, script);
    let numbers: Vec<_> = text.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).collect();
    assert_eq!(numbers, [4 << 20, 4 << 20, 0], "{text}");
}

#[test]
fn a_link_in_working_memory_is_no_longer_than_what_its_inode_holds() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let launch = small(&daemon, "working: 4MiB, state: 4MiB").name(&daemon.unique("links"));
    let script = "text() { printf \"%0$1d\" 0; }; cd /mem/working; ln -s $(text 127) fits && readlink fits | wc -c;
        ln -s $(text 128) not; ls; cd /state; ln -s $(text 4000) long && readlink long | wc -c";
    let text = says(&daemon, &launch, script);
    assert!(text.contains("File name too long"), "{text}");
    let said: Vec<_> = text.lines().filter(|line| !line.contains(':')).collect();
    assert_eq!(said, ["128", "fits", "4001"], "{text}");
}

#[test]
fn the_attributes_of_a_file_are_bounded() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let launch = small(&daemon, "working: 4MiB, state: 4MiB").name(&daemon.unique("attributes"));
    let attack = "import os, sys
for place in ('/mem/working', '/state'):
    f = place + '/f'
    open(f, 'w').close()
    held = 0
    try:
        for i in range(1000): os.setxattr(f, 'user.%05d' % i, b'v' * 90); held += 100
    except OSError as error: print(place, error.errno, 2000 < held <= 4096)
    os.setxattr(f, 'user.00000', b'w' * 90)
    os.removexattr(f, 'user.00001')
    os.setxattr(f, 'user.again', b'v' * 90)";
    let output = daemon.run_inside(&launch, &["python3", "-c", attack]);
    assert_eq!(stdout(&output), "/mem/working 28 True\n/state 28 True\n", "ENOSPC: {}", stderr(&output));
}

#[test]
fn files_past_the_quota_are_refused_and_the_file_system_tells_it() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let launch = small(&daemon, "inodes: 50").name(&daemon.unique("inodes"));
    for part in ["/mem/working"].into_iter().chain(ON_DISK) {
        let script =
            format!("cd {part}; df --output=itotal . | tail -1; for i in $(seq 60); do true > f$i; done; ls | wc -l");
        let text = says(&daemon, &launch, &script);
        assert!(text.contains("Disk quota exceeded"), "{part}: {text}");
        let numbers: Vec<_> = text.lines().filter_map(|line| line.trim().parse::<u32>().ok()).collect();
        assert_eq!(numbers, [50, 50], "{part}: {text}");
    }
}

#[test]
fn a_new_run_finds_the_same_account() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let launch = small(&daemon, "semantic: 4MiB").name(&daemon.unique("account"));
    assert_eq!(says(&daemon, &launch, "head -c 3M /dev/zero > /mem/semantic/a; echo done"), "done\n");
    let used = says(&daemon, &launch, "df --output=used -k /mem/semantic | tail -1");
    // The content and 4 KiB for the file itself.
    assert_eq!(used.trim(), (3 * 1024 + 4).to_string());
    let text = says(&daemon, &launch, "head -c 3M /dev/zero > /mem/semantic/b");
    assert!(text.contains("No space left on device"), "{text}");
}

#[test]
fn a_file_with_a_time_to_live_goes_within_a_second_of_it() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let script = "cd /mem/working; echo a > stays; echo b > goes; ln goes too;
        setfattr -n user.agentos.ttl -v 2 goes; getfattr --only-values -n user.agentos.ttl too;
        exec 3< goes; while test -e goes; do sleep 0.1; done; cat <&3; sleep 100";
    let agent = daemon.spawn(&small(&daemon, "working: 4MiB"), &["sh", "-c", script]);
    let started = Instant::now();
    wait_until("the time to live", SOON, || agent.output().contains('2'));
    let names = || listed(&agent);
    assert_eq!(names(), "goes stays too", "control");
    wait_until("both names to go", SOON, || names() == "stays");
    let after = started.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_secs(5)).contains(&after), "{after:?}");
    wait_until("who has it open to read it", SOON, || agent.output().ends_with("b\n"));
}

fn listed(agent: &Agent<'_>) -> String {
    let output = agent.exec(&["ls", "/mem/working"]);
    stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ")
}
