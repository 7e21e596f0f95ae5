//! The log against this kernel: a thread of the test confines itself and is refused.
//!
//! They switch the kernel's audit on and put it back, one after the other ([`ALONE`]). Other daemons of this host may
//! come and go meanwhile: what belongs to them is not judged.

use super::netlink::{Session, Status};
use super::{Completeness, Log, Registration, Settings};
use landlock::{ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _};
use protocol::denial::Denial;
use std::fs::File;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, channel};

const UID: u32 = 1_999_999_999;
/// Held by the test that may change the host's settings.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The log, where there is one; in CI the tests of `tests/denials.rs` fail where there is none.
async fn open() -> Option<Log> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root for the kernel's audit");
        return None;
    }
    match Log::open(Settings::default()).await {
        Ok(log) => Some(log),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// Reads /etc/passwd in vain, so often, and /usr in between. A domain is its thread's alone and ends with it.
fn refused(attempts: usize) {
    let rules = Ruleset::default().handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create);
    let rules = rules.and_then(|rules| rules.add_rules(landlock::path_beneath_rules(["/usr"], AccessFs::ReadDir)));
    rules.and_then(landlock::RulesetCreated::restrict_self).expect("confined");
    for _ in 0..attempts {
        assert!(File::open("/etc/passwd").is_err());
        assert!(std::fs::read_dir("/usr").is_ok());
    }
}

/// Waits until the kernel has told of so many refusals, and likely of the domain's end too. It may take longer than
/// [`Log::finish`] waits: the kernel's audit thread gets its turn late on a busy host, and prints to the console.
async fn heard(log: &Log, attempts: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while log.progress(UID).await.is_some_and(|progress| progress.seq < attempts as u64) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn run(log: &Log, attempts: usize) -> (Completeness, Vec<Denial>) {
    let (sink, mut list): (_, Receiver<Denial>) = channel(20_000);
    // The kernel names the process whose thread made the domain.
    let init_pid = rustix::process::getpid().as_raw_nonzero().get();
    log.register(Registration { uid: UID, init_pid, policy: "base".into(), sink, alarm: channel(4).0, resume: None })
        .await;
    // Not one of the runtime's own threads, which would stay confined.
    let ended = tokio::task::spawn_blocking(move || std::thread::spawn(move || refused(attempts)).join());
    assert!(ended.await.expect("ran").is_ok(), "the confined thread says what was wrong");
    heard(log, attempts).await;
    let completeness = log.finish(UID).await;
    let mut denials = Vec::new();
    while let Some(denial) = list.recv().await {
        denials.push(denial);
    }
    (completeness, denials)
}

#[tokio::test]
async fn the_kernels_count_is_the_number_listed() {
    let _alone = ALONE.lock().await;
    let Some(log) = open().await else { return };
    for attempts in [100, 0, 1] {
        let (completeness, denials) = run(&log, attempts).await;
        assert_eq!(completeness, Completeness::Complete { counted: attempts as u64 });
        assert_eq!(denials.len(), attempts, "what is granted is no denial");
        assert!(denials.iter().all(|denial| denial.sentence == "read /etc/passwd: not granted by policy base"));
    }
    log.close().await.expect("restored");
}

#[tokio::test]
async fn the_last_daemon_puts_the_settings_back() {
    let _alone = ALONE.lock().await;
    let status = || Session::open().and_then(|mut session| session.status());
    let settings = Settings::default();
    let others = || settings.shared_dir.exists();
    let (others_before, before) = (others(), status());
    let Some(one) = open().await else { return };
    let before = before.expect("audit");
    let two = Log::open(settings.clone()).await.expect("a second listener");
    assert_ne!(status().expect("audit").enabled, 0);
    one.close().await.expect("closed");
    assert_ne!(status().expect("audit").enabled, 0, "the second daemon still listens");
    two.close().await.expect("restored");
    let (after, others_after) = (status().expect("audit"), others());
    if others_before != others_after {
        println!("skipped in part: another agentosd has come or gone, and the settings with it");
        return;
    }
    let settings_of = |status: Status| (status.enabled, status.backlog_limit, status.backlog_wait_time);
    assert_eq!(settings_of(after), settings_of(before));
}
