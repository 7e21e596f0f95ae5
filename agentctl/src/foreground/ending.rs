//! How a foreground command ends: the process's own exit code, and a sentence where the process did not choose its end.

use crate::show;
use protocol::agent::{Exit, ExitReason};
use protocol::exit_code;

/// Says why, when the process did not end by itself, and gives the exit code.
pub(crate) fn conclude(program: &str, exit: &Exit) -> u8 {
    if let Some(sentence) = sentence(program, exit) {
        show::notice(&sentence);
    }
    code(exit)
}

/// The exit code that stands for an end.
pub(crate) fn code(exit: &Exit) -> u8 {
    match (exit.reason, exit.code, exit.signal) {
        (ExitReason::NotStarted, _, _) => exit_code::NOT_STARTED,
        (ExitReason::Wall, _, _) => exit_code::TIMED_OUT,
        (_, Some(code), _) => code,
        (_, None, Some(signal)) => u8::try_from(signal.number()).map_or(u8::MAX, |n| exit_code::SIGNAL_BASE + n),
        (_, None, None) => exit_code::FAILED,
    }
}

/// Why it ended, unless it ended by itself.
fn sentence(program: &str, exit: &Exit) -> Option<String> {
    let why = match exit.reason {
        ExitReason::Finished => return None,
        ExitReason::NotStarted => "was not started",
        ExitReason::Killed => "was killed by an operator",
        ExitReason::Memory => "was killed: it reached its memory limit (limits.memory of its policy)",
        ExitReason::Wall => "was killed: it reached its time limit (--timeout, or limits.wall of its policy)",
        ExitReason::Output => "was killed: it reached its output limit (limits.output of its policy)",
        ExitReason::Policy => "was killed for a forbidden act (SIGPOLICY)",
        ExitReason::Budget => "was killed: it has spent a budget of its policy (SIGBUDGET)",
        ExitReason::Loop => "was killed: it repeated the same action too often (SIGLOOP)",
        ExitReason::HungUp => "was hung up: its client went away",
        ExitReason::DaemonGone => "ended with agentosd, or was found dead by it",
    };
    Some(match exit.detail.as_str() {
        "" => format!("{program} {why}"),
        detail => format!("{program} {why}: {detail}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::signal::Signal;

    fn exit(reason: ExitReason, code: Option<u8>, signal: Option<Signal>) -> Exit {
        Exit { code, signal, reason, detail: String::new() }
    }

    #[test]
    fn an_end_becomes_the_code_that_a_shell_would_give() {
        assert_eq!(code(&exit(ExitReason::Finished, Some(3), None)), 3);
        assert_eq!(code(&exit(ExitReason::Finished, None, Some(Signal::INT))), 130);
        assert_eq!(code(&exit(ExitReason::Killed, None, Some(Signal::KILL))), 137);
        assert_eq!(code(&exit(ExitReason::Wall, None, Some(Signal::KILL))), 124);
        assert_eq!(code(&exit(ExitReason::NotStarted, None, None)), 125);
        assert_eq!(code(&exit(ExitReason::DaemonGone, None, None)), 1);
    }

    #[test]
    fn only_an_end_that_was_not_chosen_is_explained() {
        assert_eq!(sentence("x", &exit(ExitReason::Finished, Some(1), None)), None);
        let ended = Exit { detail: "no cgroup".into(), ..exit(ExitReason::NotStarted, None, None) };
        assert_eq!(sentence("x", &ended).as_deref(), Some("x was not started: no cgroup"));
    }
}
