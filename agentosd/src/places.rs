//! Places for agents that live: so many for all, and so many for one user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The places.
#[derive(Debug)]
pub(crate) struct Places {
    bounds: Bounds,
    taken: Arc<Mutex<Taken>>,
}

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// For all.
    pub(crate) all: usize,
    /// For one user, who is not root.
    pub(crate) per_user: usize,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<u32, usize>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All are taken.
    All,
    /// This user has as many as one may have.
    User,
}

/// A place that is an agent's until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    owner: u32,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, taken: Arc::default() }
    }

    /// A place for an agent of this user.
    pub(crate) fn take(&self, owner: u32) -> Result<Place, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.by.get(&owner).is_some_and(|own| *own >= self.bounds.per_user) && owner != 0 {
            return Err(Full::User);
        }
        if taken.all >= self.bounds.all {
            return Err(Full::All);
        }
        taken.all += 1;
        *taken.by.entry(owner).or_default() += 1;
        Ok(Place { owner, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(own) = taken.by.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                taken.by.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_places_for_the_others_and_root_may_have_all() {
        let places = Places::new(Bounds { all: 4, per_user: 2 });
        let first = places.take(5).unwrap();
        let second = places.take(5).unwrap();
        assert_eq!(places.take(5).unwrap_err(), Full::User);
        let others = [places.take(6).unwrap(), places.take(0).unwrap()];
        assert_eq!(places.take(0).unwrap_err(), Full::All);
        drop(first);
        let roots = places.take(0).unwrap();
        drop((second, others, roots));
        let all: Vec<_> = (0..4).map(|_| places.take(0).unwrap()).collect();
        drop(all);
        let taken = places.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.by.is_empty());
    }
}
