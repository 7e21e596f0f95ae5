//! What follows an agent's end: whether it is started again, and when. Pure.
//!
//! Not what somebody wanted to end, and not what its policy has ended: a forbidden act or a spent budget is for a person
//! to look at, and a restart would give it another try or another budget.

use super::file::{AgentFile, Restart};
use policies::TimeSpan;
use protocol::agent::{Exit, ExitReason};
use protocol::ids::TimeUs;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// After a run of this length the next wait is the shortest again.
const STEADY: Duration = Duration::from_secs(10 * 60);

/// How an agent ended, with what its exit does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// As everybody sees it.
    pub(super) exit: Exit,
    /// Who wanted it.
    pub(super) wanted_by: WantedBy,
    /// How long it had run.
    pub(super) ran: Duration,
}

/// Who wanted an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedBy {
    /// Nobody but itself, its policy or the kernel.
    Nobody,
    /// An operator, with a signal or with `rm -f`.
    Operator,
    /// Its health command.
    Health,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is started again.
    Again {
        /// After this time.
        after: Duration,
        /// As the how-manieth restart within the window.
        number: u32,
    },
    /// It stays ended; why.
    Stay(String),
}

/// What came before, since the host was booted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    /// Restarts that were decided within the window.
    restarts: VecDeque<TimeUs>,
    /// Since a run that was steady.
    streak: u32,
}

impl History {
    /// Decides, and takes the decision down.
    pub(super) fn decide(&mut self, file: &AgentFile, end: &End, now: TimeUs) -> Decision {
        if let Some(why) = stays(file.restart, end) {
            return Decision::Stay(why.to_owned());
        }
        if end.ran >= STEADY {
            self.streak = 0;
        }
        // A clock that was set back makes no restart one of the future, which would count for longer than the window.
        self.restarts.iter_mut().for_each(|then| *then = now.min(*then));
        let since = |then: &TimeUs| Duration::from_micros(now.0 - then.0);
        while self.restarts.front().is_some_and(|then| since(then) >= file.restart_window) {
            self.restarts.pop_front();
        }
        let before = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX);
        if before >= file.max_restarts {
            let window = words(file.restart_window);
            return Decision::Stay(format!("it was started again {before} times within {window} (max_restarts)"));
        }
        let factor = 1_u32.checked_shl(self.streak).unwrap_or(u32::MAX);
        let after =
            file.backoff.first.checked_mul(factor).map_or(file.backoff.most, |wait| wait.min(file.backoff.most));
        self.restarts.push_back(now);
        self.streak = self.streak.saturating_add(1);
        Decision::Again { after, number: before + 1 }
    }
}

/// Why it stays ended whatever came before; `None` when it does not.
fn stays(restart: Restart, end: &End) -> Option<&'static str> {
    match (end.wanted_by, end.exit.reason) {
        (WantedBy::Operator, _) => return Some("an operator ended it"),
        (_, ExitReason::Policy | ExitReason::Budget | ExitReason::Loop) => {
            return Some("its policy ended it, which is for a person to look at");
        }
        (_, ExitReason::DaemonGone) => return Some("agentosd is ending"),
        _ => {}
    }
    let success = end.exit.reason == ExitReason::Finished && end.exit.code == Some(0);
    match restart {
        Restart::No => Some("its file says restart: no"),
        Restart::OnFailure if success => Some("it did not fail, and its file says restart: on-failure"),
        Restart::OnFailure | Restart::Always => None,
    }
}

/// An end in words: `with code 1`, `by SIGKILL (memory)`.
pub(super) fn how(exit: &Exit) -> String {
    let end = match (exit.code, exit.signal) {
        (Some(code), _) => format!("with code {code}"),
        (None, Some(signal)) => format!("by {signal}"),
        (None, None) => "without a status".to_owned(),
    };
    let reason = match exit.reason {
        ExitReason::Finished | ExitReason::NotStarted | ExitReason::DaemonGone => "",
        ExitReason::Killed => " (killed)",
        ExitReason::Memory => " (memory limit)",
        ExitReason::Wall => " (time limit)",
        ExitReason::Output => " (output limit)",
        ExitReason::Policy => " (SIGPOLICY)",
        ExitReason::Budget => " (SIGBUDGET)",
        ExitReason::Loop => " (SIGLOOP)",
        ExitReason::HungUp => " (hung up)",
    };
    format!("{end}{reason}")
}

/// A length of time in the language of policies.
pub(super) fn words(span: Duration) -> String {
    let text = format!("{}s", span.as_secs());
    text.parse::<TimeSpan>().map_or(text, |span| span.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(keys: &str) -> AgentFile {
        AgentFile::parse(&format!("command: [x]\n{keys}\n")).unwrap()
    }

    fn end(reason: ExitReason, code: Option<u8>) -> End {
        let exit = Exit { code, signal: None, reason, detail: String::new() };
        End { exit, wanted_by: WantedBy::Nobody, ran: Duration::from_secs(1) }
    }

    fn again(file: &AgentFile, end: &End) -> bool {
        matches!(History::default().decide(file, end, TimeUs(0)), Decision::Again { .. })
    }

    #[test]
    fn the_word_in_the_file_decides() {
        use ExitReason::{Finished, Killed, Memory, NotStarted, Output, Wall};
        for (reason, code, no, on_failure, always) in [
            (Finished, Some(0), false, false, true),
            (Finished, Some(3), false, true, true),
            (Finished, None, false, true, true),
            (Memory, None, false, true, true),
            (Wall, None, false, true, true),
            (Output, None, false, true, true),
            (NotStarted, None, false, true, true),
            // Its stage was lost: nobody wanted that.
            (Killed, None, false, true, true),
        ] {
            for (word, expected) in [("no", no), ("on-failure", on_failure), ("always", always)] {
                let file = file(&format!("restart: {word}"));
                assert_eq!(again(&file, &end(reason, code)), expected, "{reason:?} {code:?} {word}");
            }
        }
    }

    #[test]
    fn what_somebody_or_its_policy_ended_stays_so() {
        let always = file("restart: always");
        for reason in [ExitReason::Policy, ExitReason::Budget, ExitReason::Loop, ExitReason::DaemonGone] {
            assert!(!again(&always, &end(reason, None)), "{reason:?}");
        }
        let by = |wanted_by| End { wanted_by, ..end(ExitReason::Killed, None) };
        assert!(!again(&always, &by(WantedBy::Operator)));
        assert!(again(&always, &by(WantedBy::Health)), "the control");
        assert!(!again(&always, &End { wanted_by: WantedBy::Operator, ..end(ExitReason::Finished, Some(0)) }));
    }

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_a_steady_run() {
        let file = file("restart: always\nmax_restarts: 100\nrestart_window: 2d\nbackoff: {first: 1s, most: 60s}");
        let (mut history, now) = (History::default(), TimeUs(0));
        let mut waits = |end: &End| match history.decide(&file, end, now) {
            Decision::Again { after, .. } => after.as_secs(),
            Decision::Stay(why) => panic!("{why}"),
        };
        let failed = end(ExitReason::Finished, Some(1));
        assert_eq!((0..9).map(|_| waits(&failed)).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        (0..80).for_each(|_| assert_eq!(waits(&failed), 60));
        assert_eq!(waits(&End { ran: STEADY, ..failed.clone() }), 1);
        assert_eq!(waits(&failed), 2);
    }

    #[test]
    fn only_so_many_within_the_window() {
        let file = file("restart: always\nmax_restarts: 2\nrestart_window: 1m");
        let mut history = History::default();
        let mut at =
            |second: u64| history.decide(&file, &end(ExitReason::Finished, Some(1)), TimeUs(second * 1_000_000));
        assert!(matches!(at(0), Decision::Again { number: 1, .. }));
        assert!(matches!(at(30), Decision::Again { number: 2, .. }));
        let Decision::Stay(why) = at(59) else { panic!("a third one") };
        assert!(why.contains("2 times within 1m"), "{why}");
        assert!(matches!(at(60), Decision::Again { number: 2, .. }), "the first is out of the window");
        assert!(matches!(at(10), Decision::Stay(_)), "the clock was set back");
        assert!(matches!(at(70), Decision::Again { number: 1, .. }), "and they count for no longer than the window");
    }
}
