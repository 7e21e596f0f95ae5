//! Budgets of actions: how many in an agent's life, how many in a while, how often the same one in a row.
//!
//! Every action that an agent asks for counts, also one that is then refused: asking is what a loop does.

use std::time::{Duration, Instant};

/// What a policy lets an agent do; `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActionBudgets {
    /// Actions in its life.
    pub actions: Option<u64>,
    /// So many in so long.
    pub rate: Option<(u32, Duration)>,
    /// The same action so often in a row.
    pub repeats: Option<u32>,
}

/// What is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// SIGBUDGET: the actions of its life.
    #[error("{0} actions, as many as its policy allows (process.limits.actions)")]
    Actions(u64),
    /// SIGBUDGET: the actions of a while.
    #[error("{} actions in {} s, as many as its policy allows (process.limits.action_rate)", .0.0, .0.1.as_secs())]
    Rate((u32, Duration)),
    /// SIGLOOP: the same action again.
    #[error("the same action {0} times in a row, as often as its policy allows (process.limits.repeats)")]
    Repeats(u32),
}

/// The actions of one agent, counted. What it takes does not grow with them.
#[derive(Debug)]
pub struct Counters {
    budgets: ActionBudgets,
    actions: u64,
    window: Option<Window>,
    last: Option<[u8; 32]>,
    in_a_row: u32,
}

impl Counters {
    /// Nothing has been asked for.
    #[must_use]
    pub fn new(budgets: ActionBudgets) -> Self {
        let window = budgets.rate.map(|(_, length)| Window::new(length));
        Self { budgets, actions: 0, window, last: None, in_a_row: 0 }
    }

    /// Counts an action, by the SHA-256 of what it is and its parameters.
    ///
    /// # Errors
    /// [`Spent`] when it is one too many. What is not admitted counts towards nothing but the row, so that a rate
    /// recovers; and each repetition past the bound is told again.
    pub fn admit(&mut self, digest: [u8; 32], now: Instant) -> Result<(), Spent> {
        let again = self.last == Some(digest);
        self.in_a_row = if again { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(digest);
        if let Some(bound) = self.budgets.repeats.filter(|bound| self.in_a_row > *bound) {
            return Err(Spent::Repeats(bound));
        }
        if let Some(bound) = self.budgets.actions.filter(|bound| self.actions >= *bound) {
            return Err(Spent::Actions(bound));
        }
        if let (Some(rate), Some(window)) = (self.budgets.rate, &mut self.window)
            && !window.admit(rate.0, now)
        {
            return Err(Spent::Rate(rate));
        }
        self.actions += 1;
        Ok(())
    }

    /// Gives what is spent once more, after somebody has looked and continued the agent.
    pub fn renew(&mut self) {
        self.actions = 0;
        self.window = self.budgets.rate.map(|(_, length)| Window::new(length));
        (self.last, self.in_a_row) = (None, 0);
    }
}

/// Parts of a window. An action counts until the whole part in which it came has left the window, so that no stretch of
/// the window's length ever holds more than the bound.
const PARTS: usize = 32;

#[derive(Debug)]
struct Window {
    part: Duration,
    began: Option<Instant>,
    /// The part of the newest entry, counted from `began`.
    newest: u64,
    counts: [u32; PARTS + 1],
}

impl Window {
    fn new(length: Duration) -> Self {
        let part = (length / u32::try_from(PARTS).unwrap_or(1)).max(Duration::from_millis(1));
        Self { part, began: None, newest: 0, counts: [0; PARTS + 1] }
    }

    fn admit(&mut self, most: u32, now: Instant) -> bool {
        let began = *self.began.get_or_insert(now);
        let elapsed = now.saturating_duration_since(began).as_nanos();
        let part = u64::try_from(elapsed / self.part.as_nanos()).unwrap_or(u64::MAX).max(self.newest);
        let slots = u64::try_from(self.counts.len()).unwrap_or(u64::MAX);
        for passed in self.newest.saturating_add(1)..=part.min(self.newest.saturating_add(slots)) {
            self.counts[slot(passed, slots)] = 0;
        }
        self.newest = part;
        let sum = self.counts.iter().fold(0_u32, |sum, count| sum.saturating_add(*count));
        if sum >= most {
            return false;
        }
        self.counts[slot(part, slots)] += 1;
        true
    }
}

fn slot(part: u64, slots: u64) -> usize {
    usize::try_from(part % slots).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: [u8; 32] = [1; 32];
    const B: [u8; 32] = [2; 32];

    #[test]
    fn the_same_action_in_a_row_is_a_loop_and_another_in_between_is_none() {
        let mut counters = Counters::new(ActionBudgets { repeats: Some(3), ..ActionBudgets::default() });
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(counters.admit(A, now), Ok(()));
        }
        assert_eq!(counters.admit(A, now), Err(Spent::Repeats(3)));
        assert_eq!(counters.admit(A, now), Err(Spent::Repeats(3)), "it stays one");
        assert_eq!(counters.admit(B, now), Ok(()));
        assert_eq!(counters.admit(A, now), Ok(()), "the row was broken");
    }

    #[test]
    fn a_life_has_so_many_actions_and_once_more_after_somebody_looked() {
        let mut counters = Counters::new(ActionBudgets { actions: Some(2), ..ActionBudgets::default() });
        let now = Instant::now();
        assert_eq!([counters.admit(A, now), counters.admit(B, now)], [Ok(()), Ok(())]);
        assert_eq!(counters.admit(A, now), Err(Spent::Actions(2)));
        counters.renew();
        assert_eq!([counters.admit(A, now), counters.admit(B, now)], [Ok(()), Ok(())]);
        assert!(counters.admit(A, now).is_err());
    }

    #[test]
    fn a_rate_recovers() {
        let rate = (2, Duration::from_secs(60));
        let mut counters = Counters::new(ActionBudgets { rate: Some(rate), ..ActionBudgets::default() });
        let start = Instant::now();
        assert_eq!([counters.admit(A, start), counters.admit(B, start)], [Ok(()), Ok(())]);
        assert_eq!(counters.admit(A, start + Duration::from_secs(59)), Err(Spent::Rate(rate)));
        assert_eq!(counters.admit(B, start + Duration::from_secs(63)), Ok(()), "the first two have left the window");
        assert_eq!(counters.admit(A, start + Duration::from_secs(100_000)), Ok(()));
    }

    #[test]
    fn without_bounds_everything_is_admitted() {
        let mut counters = Counters::new(ActionBudgets::default());
        assert!((0..10_000).all(|_| counters.admit(A, Instant::now()).is_ok()));
    }

    proptest! {
        #[test]
        fn no_stretch_of_the_windows_length_holds_more_than_the_bound(
            pauses in prop::collection::vec(0_u64..4000, 1..200), most in 1_u32..20,
        ) {
            let length = Duration::from_secs(10);
            let mut counters = Counters::new(ActionBudgets { rate: Some((most, length)), ..ActionBudgets::default() });
            let (mut now, mut admitted) = (Instant::now(), Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                if counters.admit(A, now).is_ok() {
                    admitted.push(now);
                }
            }
            for (index, first) in admitted.iter().enumerate() {
                let together = admitted[index..].iter().filter(|later| **later - *first < length).count();
                prop_assert!(together <= usize::try_from(most).unwrap_or(0), "{} within the window", together);
            }
        }
    }
}
