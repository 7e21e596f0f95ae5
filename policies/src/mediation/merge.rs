//! What several files say of requests, as one.

use crate::mediation::{Mediation, NetworkRule};
use crate::merge::{override_with, replace};
use crate::parse::Document;

impl Mediation {
    /// Takes over what a further file says: rules and destinations add up, of each other key the later one stands.
    pub(crate) fn add(&mut self, document: &Document) {
        let file = &document.file;
        let mode = file.kernel.as_ref().and_then(|kernel| kernel.value.mode.as_ref());
        override_with(&mut self.mode, document, mode, |mode| *mode);
        override_with(&mut self.signals, document, file.signals.as_ref(), Clone::clone);
        for entry in file.policies.iter().flat_map(|rules| &rules.value) {
            self.rules.push(entry.value.rule(document.origin_of(entry)));
        }
        for entry in file.actions.iter().flat_map(|actions| &actions.value) {
            let action = entry.value.registered(document.origin_of(entry));
            replace(&mut self.actions, action, |known, new| known.name == new.name);
        }
        for entry in file.network.iter().flat_map(|network| &network.value) {
            self.network.push(NetworkRule {
                host: entry.value.host.clone(),
                ports: entry.value.ports.clone(),
                methods: entry.value.methods.clone(),
                origin: document.origin_of(entry),
            });
        }
        if let Some(answers) = file.on_violation.as_ref().map(|answers| &answers.value) {
            override_with(&mut self.on_violation, document, answers.default.as_ref(), |answer| *answer);
            override_with(&mut self.on_tripwire, document, answers.tripwires.as_ref(), |answer| *answer);
            override_with(&mut self.on_budget, document, answers.budgets.as_ref(), |answer| (*answer).into());
            override_with(&mut self.on_loop, document, answers.loops.as_ref(), |answer| *answer);
        }
    }
}
