//! Promise: what an agent writes is kept whole, at a pace that leaves the disk to others, and one stream's flood holds up no other.

use std::process::Command;
use std::time::{Duration, Instant};
use tests::{Daemon, Launch, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_flood_that_only_the_log_takes_is_kept_whole_and_at_a_pace() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let policy = daemon.policy("extends: [base]\nprocess: {limits: {output: 1GiB}}\n");
    // 100 MiB: 64 at once, and the rest at 16 a second.
    let count = ["seq", "13000000"];
    let began = Instant::now();
    let agent = daemon.spawn(&Launch::new(&policy).name("counting"), &count);
    wait_until("its end", Duration::from_secs(60), || agent.state() == "exited");
    assert!(began.elapsed() > Duration::from_millis(1500), "it took {:?}", began.elapsed());
    let expected = Command::new(count[0]).arg(count[1]).output().expect("seq(1)").stdout;
    assert!(succeeded(daemon.agentctl(&["logs", agent.name()])).stdout == expected, "something is lost, or too much");
}

#[test]
fn a_flood_holds_up_nobody_elses_output() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let policy = daemon.policy("extends: [python]\nprocess: {limits: {output: 1TiB}}\n");
    // A pipe as large as may be, always full.
    let flood = "import fcntl, os\nfcntl.fcntl(1, 1031, 1 << 20)\nos.write(2, b'mark\\n')\nwhile True: os.write(1, b'x' * 65536)";
    let agent = daemon.spawn(&Launch::new(&policy).name("flooding"), &["/usr/bin/python3", "-c", flood]);
    let size = || agent.inspect()["usage"]["output_bytes"].as_u64().unwrap_or(0);
    wait_until("the pace", SOON, || size() > 80 << 20);
    let began = Instant::now();
    let said = agent.exec(&["sh", "-c", "echo told; exit 3"]);
    assert_eq!((said.status.code(), stdout(&said).as_str()), (Some(3), "told\n"));
    // Not the five seconds that a client is waited for.
    assert!(began.elapsed() < Duration::from_secs(4), "it took {:?}", began.elapsed());
    assert_eq!(agent.state(), "running", "control: it floods on");
    drop(agent.tell(&["kill", "-9"]));
    let errors = daemon.agentctl(&["logs", "--stderr-only", agent.name()]);
    assert_eq!(stdout(&errors) + &stderr(&errors), "mark\n");
}
