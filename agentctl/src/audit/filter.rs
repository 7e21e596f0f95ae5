//! Which records are wanted, as far as neither agentosd nor the place in the log says it.

use super::entry::Entry;
use crate::cli::audit::Which;
use protocol::audit::{Answer, Kind};
use protocol::ids::AgentName;
use serde::de::DeserializeOwned;

/// The words of [`Kind`].
pub(crate) const KINDS: [&str; 13] = [
    "daemon",
    "launch",
    "exec",
    "exit",
    "signal",
    "decision",
    "outcome",
    "denial",
    "violation",
    "approval",
    "policy",
    "memory",
    "other",
];
/// The words of [`Answer`].
pub(crate) const DECISIONS: [&str; 4] = ["allow", "deny", "hold", "would_deny"];

/// What a record must be.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    agent: Option<AgentName>,
    kind: Option<Kind>,
    decision: Option<Answer>,
}

impl Filter {
    /// As the command line says; it has taken only words that there are.
    pub(super) fn new(which: &Which) -> Self {
        Self { agent: which.agent.clone(), kind: word(which.kind.as_ref()), decision: word(which.decision.as_ref()) }
    }

    /// One agent's records.
    pub(super) fn of_agent(agent: Option<AgentName>) -> Self {
        Self { agent, ..Self::default() }
    }

    /// Whether it lets everything pass, or all that is one agent's.
    pub(super) fn is_of_agent_only(&self) -> bool {
        self.kind.is_none() && self.decision.is_none()
    }

    /// Whether it lets everything pass.
    pub(super) fn is_empty(&self) -> bool {
        self.agent.is_none() && self.is_of_agent_only()
    }

    /// Whether the record is wanted.
    pub(super) fn takes(&self, entry: &Entry) -> bool {
        let said = entry.said.as_ref();
        let kind = said.map_or(Kind::Other, |said| said.kind);
        let agent = said.and_then(|said| said.agent.as_ref()).map(|agent| &agent.name);
        self.kind.is_none_or(|wanted| wanted == kind)
            && self.agent.as_ref().is_none_or(|wanted| agent == Some(wanted))
            && self.decision.is_none_or(|wanted| said.and_then(|said| said.decision) == Some(wanted))
    }
}

fn word<T: DeserializeOwned>(text: Option<&String>) -> Option<T> {
    serde_json::from_value(text?.as_str().into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::to_value;

    #[test]
    fn the_words_are_those_of_records() {
        for text in KINDS {
            let kind: Kind = word(Some(&text.to_owned())).expect("a kind");
            assert_eq!(to_value(kind).expect("a word"), text, "every other word would be `other`");
        }
        for text in DECISIONS {
            let answer: Answer = word(Some(&text.to_owned())).expect("an answer");
            assert_eq!(to_value(answer).expect("a word"), text);
        }
    }
}
