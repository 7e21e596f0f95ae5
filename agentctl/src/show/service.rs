//! `services`: agents that have files of their own. What is wrong with one is too long for a table and stands below it.

use super::table::{self, Tone, cell, plain};
use super::{Look, time};
use protocol::control::ServicesReply;
use protocol::ids::TimeUs;
use protocol::service::{Health, Service, ServiceState};
use protocol::text::escape;

const HEADER: [&str; 6] = ["NAME", "STATE", "HEALTH", "RESTARTS", "NEXT START", "WHY"];

/// The table, and under it the files that are refused.
pub(crate) fn list(reply: &ServicesReply, (now, look): (TimeUs, Look)) -> String {
    let rows = reply.services.iter().map(|service| {
        let (state, tone) = state(service.state);
        let (health, health_tone) = health(service.health);
        vec![
            plain(escape(&service.name)),
            cell(state, tone),
            cell(health, health_tone),
            plain(service.restarts.to_string()),
            plain(next_start(service, now)),
            plain(service.why.as_deref().map_or_else(|| "-".to_owned(), escape)),
        ]
    });
    let mut text = table::render(&HEADER, rows.collect(), look);
    for Service { file, error, .. } in &reply.services {
        if let Some(error) = error {
            text.push_str(&format!("{}: {}\n", escape(file), lines(error)));
        }
    }
    if let Some(error) = &reply.error {
        text.push_str(&format!("no file is read: {}\n", lines(error)));
    }
    text
}

/// An error of a file has lines: they show the place.
fn lines(error: &str) -> String {
    error.lines().map(escape).collect::<Vec<_>>().join("\n  ")
}

fn state(state: ServiceState) -> (&'static str, Tone) {
    match state {
        ServiceState::Refused => ("refused", Tone::Bad),
        ServiceState::Waiting => ("waiting", Tone::Warning),
        ServiceState::Starting => ("starting", Tone::Plain),
        ServiceState::Running => ("running", Tone::Good),
        ServiceState::Pausing => ("pausing", Tone::Warning),
        ServiceState::Ended => ("ended", Tone::Faint),
    }
}

fn health(health: Option<Health>) -> (&'static str, Tone) {
    match health {
        None => ("-", Tone::Plain),
        Some(Health::Unknown) => ("unknown", Tone::Plain),
        Some(Health::Healthy) => ("healthy", Tone::Good),
        Some(Health::Unhealthy) => ("unhealthy", Tone::Bad),
    }
}

fn next_start(service: &Service, now: TimeUs) -> String {
    service.next_start_us.map_or_else(|| "-".to_owned(), |next| format!("in {}", time::age(now, next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, state: ServiceState) -> Service {
        Service {
            name: name.into(),
            file: format!("/etc/agents.d/{name}.yaml"),
            owner: 0,
            state,
            health: None,
            restarts: 0,
            next_start_us: None,
            why: None,
            error: None,
        }
    }

    #[test]
    fn a_line_each_and_below_what_is_wrong_with_files() {
        let paused = Service {
            restarts: 2,
            next_start_us: Some(TimeUs(9_000_000)),
            why: Some("ended with code 1".into()),
            ..service("web", ServiceState::Pausing)
        };
        let well = Service { health: Some(Health::Healthy), ..service("db", ServiceState::Running) };
        let bad = Service { error: Some("line 2:\n\u{1b}[2J".into()), ..service("bad", ServiceState::Refused) };
        let reply = ServicesReply { directory: "/etc/agents.d".into(), error: None, services: vec![bad, well, paused] };
        let text = list(&reply, (TimeUs(5_000_000), Look { colour: false, width: None }));
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["bad", "refused", "-", "0", "-", "-"]);
        assert_eq!(words[2], ["db", "running", "healthy", "0", "-", "-"]);
        assert_eq!(words[3], ["web", "pausing", "-", "2", "in", "4s", "ended", "with", "code", "1"]);
        assert!(text.ends_with("/etc/agents.d/bad.yaml: line 2:\n  \\u{1b}[2J\n"), "{text}");
    }
}
