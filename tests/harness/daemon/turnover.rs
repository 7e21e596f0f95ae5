//! One daemon ends and another takes its place.

use super::{COMING_AND_GOING, Daemon, READY, launch, stop, uid_block};
use crate::{binary, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Output, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

impl Daemon {
    /// Kills it as a crash would, without any chance to tidy up, and starts another on the same directories.
    pub fn crash_and_restart(&self) {
        // In between its uids are nobody's, and another daemon of this process would take them.
        let _alone = COMING_AND_GOING.lock().unwrap_or_else(PoisonError::into_inner);
        self.crash();
        self.start_again();
    }

    /// Kills it as a crash would. Agents that it has go on, so that a test starts it again before it ends.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn crash(&self) {
        let mut child = self.lock_child();
        child.kill().expect("SIGKILL of our own child");
        child.wait().expect("our own child");
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.lock_child()), signal).expect("our own child");
    }

    /// Has it end and leave its agents to the next one.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn leave(&self) {
        let mut child = self.lock_child();
        kill_process(Pid::from_child(&child), Signal::USR1).expect("our own child");
        assert!(child.wait().expect("our own child").success(), "it leaves: {}", self.log());
    }

    /// Has it execute itself anew.
    ///
    /// # Panics
    /// When it is not ready again within 10 s.
    pub fn replace(&self) {
        let ready = || self.log().matches("agentosd ready").count();
        let before = ready();
        kill_process(Pid::from_child(&self.lock_child()), Signal::USR2).expect("our own child");
        wait_until("agentosd in place of itself", READY, || ready() > before);
    }

    /// Starts another on the directories of one that has ended.
    pub fn start_again(&self) {
        let mut child = self.lock_child();
        *child = launch(self.place.path(), "");
        *self.uids.lock().unwrap_or_else(PoisonError::into_inner) = uid_block(child.id());
    }

    /// Tries to start another on the directories of one that has ended: how it ended, which it must at once.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn refuses_to_start(&self) -> Output {
        let mut command = Command::new(binary("agentosd"));
        let place = self.place.path();
        command.args(["--state-dir".as_ref(), place.join("state").as_os_str()]);
        command.args(["--run-dir".as_ref(), place.join("run").as_os_str()]);
        command.args(["--config".as_ref(), place.join("agentosd.yaml").as_os_str()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("agentosd can be started");
        let deadline = Instant::now() + READY;
        while child.try_wait().expect("our own child").is_none() {
            if Instant::now() > deadline {
                let ended = stop(&mut child);
                panic!("agentosd started after all ({ended:?})");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().expect("our own child")
    }
}
