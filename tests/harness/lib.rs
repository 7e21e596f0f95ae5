//! What every promise's test stands on: a daemon of its own, agents in it, and judges that look from outside.
//!
//! ```text
//!   test ──► Daemon ──► agentosd (own state, run and work directories, own uids)
//!     │        ├── agentctl / run_inside / spawn ──► Agent
//!     │        └── drop: SIGTERM, then leftovers: anything still there fails the test
//!     └──► judge: what the host's /proc and cgroups say, never what the agent says
//! ```
//! A test that cannot run here says so with [`skip()`], which fails where `CI=true` unless `allowed-skips.txt` names it.
//!
//! ```no_run
//! use tests::{Daemon, Launch};
//! # fn main() {
//! if !tests::is_root() {
//!     return;
//! }
//! let daemon = Daemon::shared();
//! let output = daemon.run_inside(&Launch::new("base"), &["/bin/echo", "hello"]);
//! assert_eq!(tests::stdout(&output), "hello\n");
//! let agent = daemon.spawn(&Launch::new("base"), &["/bin/sleep", "60"]);
//! assert!(tests::judge::process_exists(agent.pid()));
//! # }
//! ```
#![forbid(unsafe_code)]

mod agent;
mod asking;
mod audit;
mod binaries;
mod chance;
mod daemon;
pub mod disk;
pub mod exam;
mod held;
mod hostile;
pub mod judge;
mod launch;
mod leftovers;
pub mod machine;
mod reachable;
mod repository;
mod skip;
mod user;

use std::process::Output;
use std::time::{Duration, Instant};

pub use agent::Agent;
pub use asking::{ask, ask_all, done, refused};
pub use binaries::binary;
pub use chance::{Chance, times};
pub use daemon::Daemon;
pub use held::Held;
pub use hostile::{hostile, own_processes, probe};
pub use launch::Launch;
pub use reachable::reachable;
pub use repository::repository_root;
pub use skip::{is_root, skip};
pub use user::{GROUP, GROUP_LINE, USER, as_user};

/// Standard output as text; what is not UTF-8 is replaced.
#[must_use]
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text; what is not UTF-8 is replaced.
#[must_use]
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The output of a command that must have succeeded.
///
/// # Panics
/// When it has not, with everything that it said.
pub fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{}\nstdout: {}\nstderr: {}", output.status, stdout(&output), stderr(&output));
    output
}

/// Asks `condition` every 5 ms until it holds.
///
/// # Panics
/// When `limit` passes before; `what` completes "waited in vain for …".
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what} ({limit:?})");
        std::thread::sleep(Duration::from_millis(5));
    }
}
