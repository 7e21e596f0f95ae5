//! How an agent ended, from what is known of it. Pure.

use protocol::agent::{Exit, ExitReason};
use protocol::signal::{KernelSignal, Signal};
use sandbox::message::Failure;

/// Why the daemon itself ended an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// An operator's SIGKILL, also the one after a grace period.
    Killed,
    /// Its time was up.
    Wall,
    /// It wrote more than it may.
    Output,
    /// What its policy answers with SIGKILL; in words, what it was.
    Violation(KernelSignal, String),
    /// Its foreground client went away.
    HungUp,
    /// The daemon ends.
    DaemonGone,
    /// The stage ended without reporting the end; it may have said why.
    StageGone(Option<Failure>),
}

/// What is known at the end.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// As `wait(2)` gives it; `None` when nobody could wait.
    pub(crate) status: Option<i32>,
    /// The first reason for which the daemon ended it.
    pub(crate) cause: Option<Cause>,
    /// Processes that the kernel ended for want of memory.
    pub(crate) oom_kills: u64,
}

/// Decides.
pub(crate) fn of(facts: &Facts) -> Exit {
    let (code, signal) = facts.status.map_or((None, Some(Signal::KILL)), split);
    let killed = signal == Some(Signal::KILL);
    let reason = match &facts.cause {
        // Out of memory comes first only when nobody had decided to end it before.
        None if facts.oom_kills > 0 && killed => ExitReason::Memory,
        None => ExitReason::Finished,
        Some(Cause::Killed | Cause::StageGone(_)) => ExitReason::Killed,
        Some(Cause::Wall) => ExitReason::Wall,
        Some(Cause::Output) => ExitReason::Output,
        Some(Cause::Violation(KernelSignal::Budget, _)) => ExitReason::Budget,
        Some(Cause::Violation(KernelSignal::Loop, _)) => ExitReason::Loop,
        Some(Cause::Violation(..)) => ExitReason::Policy,
        Some(Cause::HungUp) => ExitReason::HungUp,
        Some(Cause::DaemonGone) => ExitReason::DaemonGone,
    };
    let detail = match (&facts.cause, facts.oom_kills) {
        (Some(Cause::StageGone(None)), _) => {
            "its agentos-stage ended unexpectedly, and with it every process of the agent".to_owned()
        }
        (Some(Cause::StageGone(Some(failure))), _) => {
            format!("its agentos-stage could not go on, and ended every process of the agent: {failure}")
        }
        (Some(Cause::Violation(_, what)), _) => what.clone(),
        (_, 0) => String::new(),
        (_, 1) => "the kernel ended one process of it at the memory limit".to_owned(),
        (_, count) => format!("the kernel ended {count} processes of it at the memory limit"),
    };
    Exit { code, signal, reason, detail }
}

/// How a further process ended, which nothing else is known of.
pub(crate) fn of_further(status: i32) -> Exit {
    of(&Facts { status: Some(status), cause: None, oom_kills: 0 })
}

/// The end of an agent whose daemon is no more.
pub(crate) fn daemon_gone() -> Exit {
    of(&Facts { status: None, cause: Some(Cause::DaemonGone), oom_kills: 0 })
}

/// The exit of an agent that was never started.
pub(crate) fn not_started(detail: String) -> Exit {
    Exit { code: None, signal: None, reason: ExitReason::NotStarted, detail }
}

/// The exit code, or the signal (`wait(2)`: the low seven bits are the signal, the next byte the code).
fn split(status: i32) -> (Option<u8>, Option<Signal>) {
    match status & 0x7f {
        0 => (u8::try_from((status >> 8) & 0xff).ok(), None),
        number => (None, Signal::from_number(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(status: i32, cause: Option<Cause>, oom_kills: u64) -> Exit {
        of(&Facts { status: Some(status), cause, oom_kills })
    }

    #[test]
    fn a_status_is_a_code_or_a_signal() {
        assert_eq!(split(0), (Some(0), None));
        assert_eq!(split(0x0300), (Some(3), None));
        assert_eq!(split(0xff00), (Some(255), None));
        assert_eq!(split(9), (None, Some(Signal::KILL)));
        assert_eq!(split(0x8b), (None, Signal::from_number(11)), "with a core dump flag");
    }

    #[test]
    fn the_reason_is_the_first_cause() {
        assert_eq!(exit(0, None, 0).reason, ExitReason::Finished);
        assert_eq!(exit(9, None, 0).reason, ExitReason::Finished, "a kill from inside");
        assert_eq!(exit(9, None, 2).reason, ExitReason::Memory);
        assert_eq!(exit(0x100, None, 1).reason, ExitReason::Finished, "it survived the loss of a process");
        assert!(exit(0x100, None, 1).detail.contains("memory limit"));
        assert_eq!(exit(9, Some(Cause::Wall), 2).reason, ExitReason::Wall);
        assert_eq!(exit(0, Some(Cause::HungUp), 0).reason, ExitReason::HungUp);
        let forbidden = |signal| exit(9, Some(Cause::Violation(signal, "mount (tripwire mount)".into())), 1);
        assert_eq!(forbidden(KernelSignal::Policy).reason, ExitReason::Policy);
        assert_eq!(forbidden(KernelSignal::Policy).detail, "mount (tripwire mount)");
        assert_eq!(forbidden(KernelSignal::Budget).reason, ExitReason::Budget);
        assert_eq!(daemon_gone().reason, ExitReason::DaemonGone);
    }

    #[test]
    fn what_the_stage_said_last_is_passed_on() {
        let failure =
            Failure::Setup { step: "write".into(), object: "x".into(), errno: 28, remedy: "make room".into() };
        let said = exit(9, Some(Cause::StageGone(Some(failure))), 0);
        assert_eq!(said.reason, ExitReason::Killed);
        assert!(
            said.detail.ends_with(": cannot write x: No space left on device (os error 28); make room"),
            "{said:?}"
        );
        assert!(exit(9, Some(Cause::StageGone(None)), 0).detail.contains("unexpectedly"));
    }
}
