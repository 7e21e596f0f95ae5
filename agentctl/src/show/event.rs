//! `events`: a line an event.

use super::{command_line, how_it_ended, time};
use protocol::event::{Event, Violation, What};
use protocol::text::escape;

/// `TIME  AGENT  what happened  (by uid U, pid P)`.
pub(crate) fn line(event: &Event) -> String {
    let what = match &event.what {
        What::Started { policy } => format!("started under policy {}", escape(policy)),
        What::Signal { signal, outcome } => match signal.reserved() {
            Some(name) => format!("{name}: {}", escape(outcome)),
            None => format!("{signal}: {}", escape(outcome)),
        },
        What::Exec { command } => format!("exec {}", command_line(command)),
        What::ExecFailed { command, why } => format!("exec {} failed: {}", command_line(command), escape(why)),
        What::ExecExited { exit } => format!("exec ended: {}", how_it_ended(exit)),
        What::Exited { exit } => format!("ended: {}", how_it_ended(exit)),
        What::VfsLost { outcome } => format!("agentos-vfs lost its files: {}", escape(outcome)),
        What::TakenBack { absent_ms } => {
            format!("taken back by agentosd, which was not there for {}.{:03} s", absent_ms / 1000, absent_ms % 1000)
        }
        What::Violation(violation) => self::violation(violation),
        What::Restart { outcome } => escape(outcome),
        What::Health { outcome } => format!("health: {}", escape(outcome)),
        What::MemoryRestored => "what it remembers was imported".to_owned(),
        What::MemoryRemoved => "what it remembered was removed".to_owned(),
        What::Removed { why } if why.is_empty() => "removed".to_owned(),
        What::Removed { why } => format!("removed: {}", escape(why)),
    };
    let by = event.by.map_or_else(String::new, |caller| format!("  (by uid {}, pid {})", caller.uid, caller.pid));
    format!("{}  {}  {what}{by}", time::utc(event.time_us), event.agent)
}

/// `SIGPOLICY: what (process 7, /usr/bin/x; rule): outcome`.
fn violation(violation: &Violation) -> String {
    let Violation { signal, what, rule, outcome, pid, exe, .. } = violation;
    let process = pid.map(|pid| format!("process {pid}"));
    let of = [process, exe.as_deref().map(escape), Some(escape(rule))].into_iter().flatten().collect::<Vec<_>>();
    format!("{signal}: {} ({}): {}", escape(what), of.join(", "), escape(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::audit::StoppedBy;
    use protocol::event::{Answered, Caller};
    use protocol::ids::{AgentId, AgentName, TimeUs};
    use protocol::signal::Signal;

    fn event(by: Option<Caller>, what: What) -> Event {
        let agent = AgentName::parse("a").expect("a name");
        Event { seq: 1, time_us: TimeUs(0), agent, id: Some(AgentId(1)), by, what }
    }

    #[test]
    fn a_signal_says_what_came_of_it_and_who_sent_it() {
        let what = What::Signal { signal: Signal::STOP, outcome: "stopped 12 processes".into() };
        let event = event(Some(Caller { uid: 0, pid: 9 }), what);
        assert_eq!(line(&event), "1970-01-01T00:00:00.000Z  a  SIGSTOP: stopped 12 processes  (by uid 0, pid 9)");
    }

    #[test]
    fn a_removal_that_nobody_asked_for_says_why() {
        let removed = |why: &str| line(&event(None, What::Removed { why: why.into() }));
        assert_eq!(removed(""), "1970-01-01T00:00:00.000Z  a  removed");
        assert_eq!(removed("too many"), "1970-01-01T00:00:00.000Z  a  removed: too many");
    }

    #[test]
    fn a_violation_names_who_what_and_which_rule() {
        let violation = Violation {
            signal: protocol::signal::KernelSignal::Policy,
            what: "mount: refused\nby seccomp".into(),
            rule: "tripwire mount".into(),
            answer: Answered::Kill,
            outcome: "killed".into(),
            stopped_by: StoppedBy::Seccomp,
            pid: Some(7),
            exe: Some("/usr/bin/mount".into()),
        };
        let line = line(&event(None, What::Violation(violation)));
        let expected = "SIGPOLICY: mount: refused\\u{a}by seccomp (process 7, /usr/bin/mount, tripwire mount): killed";
        assert!(line.ends_with(expected), "{line}");
    }
}
