//! What everybody may see of the agents that have files: each one's supervisor writes its own line, others read.

use super::directory::Spec;
use protocol::ids::{AgentName, TimeUs};
use protocol::service::{Health, Service, ServiceState};
use std::collections::BTreeMap;
use tokio::sync::watch;

/// A line for each, by the file's name without `.yaml`.
pub(super) type Lines = BTreeMap<String, Service>;

/// The lines.
#[derive(Debug, Default)]
pub(super) struct Board(watch::Sender<Lines>);

impl Board {
    /// All of them now.
    pub(super) fn lines(&self) -> Lines {
        self.0.borrow().clone()
    }

    /// Hears of every change.
    pub(super) fn follow(&self) -> watch::Receiver<Lines> {
        self.0.subscribe()
    }

    /// Changes one, if it is there. Who follows is woken only when it is different then.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Service)) {
        self.0.send_if_modified(|lines| {
            let Some(line) = lines.get_mut(name) else { return false };
            let before = line.clone();
            change(line);
            *line != before
        });
    }

    /// Adds one, or makes it a new one.
    pub(super) fn put(&self, line: Service) {
        self.0.send_modify(|lines| drop(lines.insert(line.name.clone(), line)));
    }

    /// Removes all that are not wanted.
    pub(super) fn retain(&self, wanted: impl Fn(&str) -> bool) {
        self.0.send_if_modified(|lines| {
            let before = lines.len();
            lines.retain(|name, _| wanted(name));
            lines.len() != before
        });
    }
}

/// The line of one that is about to be supervised.
pub(super) fn fresh(name: &AgentName, file: String, spec: &Spec) -> Service {
    Service {
        name: name.to_string(),
        file,
        owner: spec.caller.uid,
        state: ServiceState::Waiting,
        health: None,
        restarts: 0,
        next_start_us: None,
        why: None,
        error: None,
    }
}

/// The line of one whose file is not taken.
pub(super) fn refused(name: &str, file: String, (owner, error): (u32, String)) -> Service {
    let (health, next_start_us, why) = (None, None, None);
    let (name, state, error) = (name.to_owned(), ServiceState::Refused, Some(error));
    Service { name, file, owner, state, health, restarts: 0, next_start_us, why, error }
}

/// Where it stands now; what belonged to where it stood before goes.
pub(super) fn stands(line: &mut Service, state: ServiceState, why: Option<String>, next: Option<TimeUs>) {
    (line.state, line.why, line.next_start_us, line.health) = (state, why, next, None);
}

/// Those of some names that do not run, or do not say that they are healthy.
pub(super) fn not_ready<'a>(lines: &Lines, names: &'a [AgentName]) -> Vec<&'a str> {
    let ready = |name: &&AgentName| {
        lines.get(name.as_str()).is_some_and(|line| {
            line.state == ServiceState::Running && line.health.is_none_or(|health| health == Health::Healthy)
        })
    };
    names.iter().filter(|name| !ready(name)).map(AgentName::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, state: ServiceState, health: Option<Health>) -> Service {
        let mut line = refused(name, String::new(), (0, String::new()));
        (line.state, line.health) = (state, health);
        line
    }

    #[test]
    fn only_what_runs_and_is_not_known_to_be_ill_is_ready() {
        let board = Board::default();
        for (name, state, health) in [
            ("plain", ServiceState::Running, None),
            ("well", ServiceState::Running, Some(Health::Healthy)),
            ("ill", ServiceState::Running, Some(Health::Unhealthy)),
            ("unknown", ServiceState::Running, Some(Health::Unknown)),
            ("ended", ServiceState::Ended, None),
        ] {
            board.put(line(name, state, health));
        }
        let names: Vec<AgentName> =
            ["ended", "ill", "none", "plain", "unknown", "well"].map(|name| AgentName::parse(name).unwrap()).into();
        assert_eq!(not_ready(&board.lines(), &names), ["ended", "ill", "none", "unknown"]);
    }

    #[test]
    fn who_follows_is_woken_by_changes_alone() {
        let board = Board::default();
        board.put(line("a", ServiceState::Waiting, None));
        let mut follower = board.follow();
        board.change("a", |line| stands(line, ServiceState::Waiting, None, None));
        board.change("nobody", |line| line.restarts += 1);
        board.retain(|name| name == "a");
        assert!(!follower.has_changed().unwrap());
        board.change("a", |line| line.restarts += 1);
        assert!(follower.has_changed().unwrap());
        follower.mark_unchanged();
        board.retain(|_| false);
        assert!(follower.has_changed().unwrap() && board.lines().is_empty());
    }
}
