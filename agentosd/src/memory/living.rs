//! What lives by name, for as long as somebody holds it.

use protocol::ids::AgentName;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Names that are added between two looks at least.
const FEW: usize = 64;

/// By name, not keeping it alive. A thousand names cost no more each than a few: the dead are looked for only once there
/// are twice as many as lived at the last look.
#[derive(Debug)]
pub(super) struct Living<T> {
    named: HashMap<AgentName, Weak<T>>,
    look_at: usize,
}

impl<T> Default for Living<T> {
    fn default() -> Self {
        Self { named: HashMap::new(), look_at: FEW }
    }
}

impl<T> Living<T> {
    /// Under that name from now on.
    pub(super) fn add(&mut self, name: &AgentName, living: &Arc<T>) {
        if self.named.len() >= self.look_at {
            self.named.retain(|_, living| living.strong_count() > 0);
            self.look_at = self.named.len() * 2 + FEW;
        }
        self.named.insert(name.clone(), Arc::downgrade(living));
    }

    /// Whose it is, if it lives.
    pub(super) fn get(&self, name: &AgentName) -> Option<Arc<T>> {
        self.named.get(name).and_then(Weak::upgrade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_forgotten_and_the_living_are_not() {
        let mut living = Living::default();
        let name = |number: usize| AgentName::parse(&format!("a{number}")).unwrap();
        let kept: Vec<_> = (0..10).map(|number| (number, Arc::new(number))).collect();
        for (number, one) in &kept {
            living.add(&name(*number), one);
        }
        for number in 10..10_000 {
            living.add(&name(number), &Arc::new(number));
        }
        assert!(living.named.len() <= 2 * kept.len() + 2 * FEW, "{}", living.named.len());
        assert!(kept.iter().all(|(number, one)| living.get(&name(*number)).as_ref() == Some(one)));
        assert_eq!(living.get(&name(20)), None);
    }
}
