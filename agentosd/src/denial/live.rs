//! The log against this kernel: a child of the test confines itself and is refused.
//!
//! As root: `cargo test -p agentosd denial::live -- --ignored --test-threads 1`. They switch the kernel's audit on and put it back.

use super::netlink::Session;
use super::{Completeness, Log, Registration, Settings};
use landlock::{ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _};
use protocol::denial::Denial;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use tokio::sync::mpsc::{Receiver, channel};

/// Names the part that a child plays; absent in the test itself.
const ATTEMPTS: &str = "AGENTOS_LIVE_ATTEMPTS";
const UID: u32 = 1_999_999_999;

/// Starts this test program again, as the process that will be confined; it waits for [`go`].
fn child(attempts: u32) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args(["--exact", "--ignored", "denial::live::confined_child"]).env(ATTEMPTS, attempts.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("started")
}

fn go(mut child: Child) {
    child.stdin.take().expect("piped").write_all(b"g").expect("written");
    assert!(child.wait().expect("waited").success());
}

/// The child's part: reads /etc/passwd in vain, so often, and /usr in between.
#[test]
#[ignore = "a part of the other tests"]
fn confined_child() {
    let Ok(attempts) = std::env::var(ATTEMPTS) else { return };
    std::io::stdin().read_exact(&mut [0]).expect("told to go");
    let rules = Ruleset::default().handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create);
    let rules = rules.and_then(|rules| rules.add_rules(landlock::path_beneath_rules(["/usr"], AccessFs::ReadDir)));
    rules.and_then(landlock::RulesetCreated::restrict_self).expect("confined");
    for _ in 0..attempts.parse().expect("a number") {
        assert!(File::open("/etc/passwd").is_err());
        assert!(std::fs::read_dir("/usr").is_ok());
    }
}

async fn run(log: &Log, attempts: u32) -> (Completeness, Vec<Denial>) {
    let (sink, mut list): (_, Receiver<Denial>) = channel(20_000);
    let child = child(attempts);
    let init_pid = i32::try_from(child.id()).expect("a pid");
    log.register(Registration { uid: UID, init_pid, policy: "base".into(), sink, resume: None }).await;
    tokio::task::spawn_blocking(|| go(child)).await.expect("ran");
    let completeness = log.finish(UID).await;
    let mut denials = Vec::new();
    while let Some(denial) = list.recv().await {
        denials.push(denial);
    }
    (completeness, denials)
}

#[tokio::test]
#[ignore = "needs root and switches the kernel's audit on for a moment"]
async fn the_kernels_count_is_the_number_listed() {
    let log = Log::open(Settings::default()).await.expect("a kernel with audit");
    let (completeness, denials) = run(&log, 100).await;
    assert_eq!(completeness, Completeness::Complete { counted: denials.len() as u64 });
    let wanted = denials.iter().filter(|denial| denial.sentence == "read /etc/passwd: not granted by policy base");
    assert_eq!(wanted.count(), 100);
    assert!(denials.iter().all(|denial| denial.object.as_deref() != Some("/usr")));

    let (completeness, denials) = run(&log, 0).await;
    // The test program itself looks at files as it ends; what counts is that both numbers agree.
    assert_eq!(completeness, Completeness::Complete { counted: denials.len() as u64 });
    log.close().await.expect("restored");
}

#[tokio::test]
#[ignore = "needs root and switches the kernel's audit on for a moment"]
async fn the_last_daemon_puts_the_settings_back() {
    let status = || Session::open().and_then(|mut session| session.status()).expect("audit");
    let settings = Settings::default();
    if settings.shared_dir.exists() {
        println!("skipped: another agentosd uses {}", settings.shared_dir.display());
        return;
    }
    let before = status();
    let one = Log::open(settings.clone()).await.expect("a kernel with audit");
    let two = Log::open(settings.clone()).await.expect("a second listener");
    assert_eq!(status().enabled, 1);
    one.close().await.expect("closed");
    assert_eq!(status().enabled, 1, "the second daemon still listens");
    two.close().await.expect("restored");
    let settings_of = |status: super::netlink::Status| (status.enabled, status.backlog_limit, status.backlog_wait_time);
    assert_eq!(settings_of(status()), settings_of(before));
    assert!(!settings.shared_dir.exists());
}
