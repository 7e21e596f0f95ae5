//! `ps`: a row an agent, and what their table must not leave unsaid.

use super::table::{self, Tone, cell, plain};
use super::{Look, command_line, time};
use protocol::agent::{Agent, Exit, ExitReason, State};
use protocol::ids::TimeUs;
use protocol::text::escape;
use std::fmt::Write as _;

const HEADER: [&str; 8] = ["NAME", "STATE", "PID", "POLICY", "AGE", "EXIT", "DENIALS", "COMMAND"];

/// The table, and under it the layers that are not enforced and the denials that are not listed.
pub(crate) fn agents(agents: &[Agent], now: TimeUs, look: Look) -> String {
    let rows = agents.iter().map(|agent| {
        let (mut state, tone) = state(agent.state);
        if agent.review.is_some() {
            state = "stopped (review)";
        }
        let pid = agent.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let age = match agent.ended_us {
            Some(ended) => format!("ended {} ago", time::age(ended, now)),
            None => time::age(agent.created_us, now),
        };
        let denials = match agent.denials {
            Some(0) => plain("0"),
            Some(count) => cell(count.to_string(), Tone::Warning),
            None => cell("not listed", Tone::Faint),
        };
        let policy = if agent.not_enforced.is_empty() {
            plain(escape(&agent.policy))
        } else {
            cell(format!("{} (partly)", escape(&agent.policy)), Tone::Warning)
        };
        let (exit, exit_tone) = exit_word(agent.exit.as_ref());
        vec![
            plain(agent.name.as_str()),
            cell(state, tone),
            plain(pid),
            policy,
            plain(age),
            cell(exit, exit_tone),
            denials,
            plain(command_line(&agent.command)),
        ]
    });
    let mut text = table::render_cut(&HEADER, rows.collect(), look);
    text.push_str(&unsaid(agents));
    text
}

fn unsaid(agents: &[Agent]) -> String {
    let mut text = String::new();
    for agent in agents.iter().filter(|agent| !agent.not_enforced.is_empty()) {
        let layers = agent.not_enforced.iter().map(|layer| escape(layer)).collect::<Vec<_>>().join(", ");
        // Writing into a String cannot fail.
        if writeln!(text, "{}: NOT ENFORCED on this kernel, and optional in its policy: {layers}", agent.name).is_err()
        {
            return text;
        }
    }
    for (agent, why) in agents.iter().filter_map(|agent| Some((agent, agent.review.as_deref()?))) {
        let name = &agent.name;
        if writeln!(text, "{name}: stopped by agentosd: {}", escape(why)).is_err() {
            return text;
        }
    }
    if agents.iter().any(|agent| agent.denials.is_none()) {
        text.push_str("Denials are not listed on this host; agentctl doctor says why.\n");
    }
    text
}

/// A state as a word.
pub(crate) fn state_word(of: State) -> &'static str {
    state(of).0
}

/// A state as a word and its tone.
pub(super) fn state(state: State) -> (&'static str, Tone) {
    match state {
        State::Starting => ("starting", Tone::Plain),
        State::Running => ("running", Tone::Good),
        State::Stopped => ("stopped", Tone::Warning),
        State::Exited => ("ended", Tone::Faint),
    }
}

fn exit_word(exit: Option<&Exit>) -> (String, Tone) {
    let Some(exit) = exit else { return ("-".to_owned(), Tone::Plain) };
    let status = match (exit.code, exit.signal) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => signal.to_string(),
        (None, None) => "-".to_owned(),
    };
    match reason_word(exit.reason) {
        None if exit.code == Some(0) => (status, Tone::Plain),
        None => (status, Tone::Warning),
        Some(reason) => (format!("{status} ({reason})"), Tone::Bad),
    }
}

fn reason_word(reason: ExitReason) -> Option<&'static str> {
    match reason {
        ExitReason::Finished => None,
        ExitReason::Killed => Some("killed"),
        ExitReason::Memory => Some("memory limit"),
        ExitReason::Wall => Some("time limit"),
        ExitReason::Output => Some("output limit"),
        ExitReason::Policy => Some("SIGPOLICY"),
        ExitReason::Budget => Some("SIGBUDGET"),
        ExitReason::Loop => Some("SIGLOOP"),
        ExitReason::HungUp => Some("hung up"),
        ExitReason::NotStarted => Some("not started"),
        ExitReason::DaemonGone => Some("agentosd gone"),
    }
}

/// An end in words: `exit status 3`, `SIGKILL (memory limit): …`.
pub(crate) fn how_it_ended(exit: &Exit) -> String {
    let mut text = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => signal.to_string(),
        (None, None) => String::new(),
    };
    if let Some(reason) = reason_word(exit.reason) {
        text = if text.is_empty() { reason.to_owned() } else { format!("{text} ({reason})") };
    }
    match exit.detail.as_str() {
        "" => text,
        detail => format!("{text}: {}", escape(detail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ids::{AgentId, AgentName};
    use protocol::signal::Signal;

    fn agent(name: &str, state: State) -> Agent {
        Agent {
            name: AgentName::parse(name).expect("a name"),
            id: AgentId(1),
            state,
            pid: Some(4242),
            uid: 700_001,
            owner: 0,
            policy: "base".into(),
            policy_digest: String::new(),
            command: vec!["sh".into(), "-c".into(), "echo \x1b[31m".into()],
            workspace: None,
            created_us: TimeUs(0),
            ended_us: None,
            exit: None,
            denials: Some(0),
            not_enforced: vec![],
            review: None,
        }
    }

    #[test]
    fn a_table_for_other_programs_is_one_line_a_row() {
        let ended = Agent {
            pid: None,
            ended_us: Some(TimeUs(50_000_000)),
            exit: Some(Exit {
                code: None,
                signal: Some(Signal::KILL),
                reason: ExitReason::Memory,
                detail: String::new(),
            }),
            denials: None,
            not_enforced: vec!["landlock scope".into()],
            ..agent("b", State::Exited)
        };
        let list = [agent("coder-1", State::Running), ended];
        let text = agents(&list, TimeUs(60_000_000), Look { colour: false, width: None });
        let expected = "\
NAME     STATE    PID   POLICY         AGE            EXIT                    DENIALS     COMMAND
coder-1  running  4242  base           60s            -                       0           sh -c 'echo \\u{1b}[31m'
b        ended    -     base (partly)  ended 10s ago  SIGKILL (memory limit)  not listed  sh -c 'echo \\u{1b}[31m'
b: NOT ENFORCED on this kernel, and optional in its policy: landlock scope
Denials are not listed on this host; agentctl doctor says why.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn colours_come_only_when_asked_for() {
        let text = |colour| agents(&[agent("a", State::Running)], TimeUs(0), Look { colour, width: Some(80) });
        assert!(text(true).contains("\x1b["));
        assert!(!text(false).contains('\x1b'));
    }

    #[test]
    fn on_a_terminal_a_row_is_one_line_and_only_the_command_is_cut() {
        let script = "cd /work\nfor i in 1 2 3; do make; done\n".repeat(9);
        let long = [vec!["word".repeat(30)], vec!["sh".into(), "-c".into(), script]]
            .map(|command| Agent { command, ..agent("a", State::Running) });
        let text = agents(&long, TimeUs(0), Look { colour: false, width: Some(90) });
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 90), "{text}");
        let rows: Vec<_> = text.lines().skip(1).collect();
        assert!(rows.iter().all(|row| row.starts_with("a     running  4242  base") && row.ends_with('…')), "{text}");
        let elsewhere = agents(&long, TimeUs(0), Look { colour: false, width: None });
        assert!(elsewhere.contains(&"word".repeat(30)) && elsewhere.lines().count() == 3, "{elsewhere}");
    }

    #[test]
    fn whoever_was_stopped_by_the_daemon_has_its_reason_said() {
        let review = Some("its files were\nlost".to_owned());
        let stopped = Agent { review, ..agent("a", State::Stopped) };
        let text = agents(&[stopped], TimeUs(0), Look { colour: false, width: None });
        assert!(text.contains("a     stopped (review)  4242"), "{text}");
        let reason = "a: stopped by agentosd: its files were\\u{a}lost\n";
        assert!(text.ends_with(reason), "{text}");
    }
}
