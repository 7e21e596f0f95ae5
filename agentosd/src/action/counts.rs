//! How often what a rule allows has been done: one count a rule, for one agent's life. Pure.

use crate::gate::{Budget, Refusal};
use protocol::action::RefusalReason;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// The counts of one agent, by rule.
#[derive(Debug, Default)]
pub(crate) struct Counts(HashMap<String, Count>);

#[derive(Debug, Default)]
struct Count {
    all: u32,
    /// When it was done, as far back as the rule's time goes.
    recent: VecDeque<Instant>,
}

impl Counts {
    /// Counts one more for every budget, or for none when one of them is spent.
    pub(crate) fn take(&mut self, budgets: &[Budget], now: Instant) -> Result<(), Refusal> {
        if let Some(refusal) = budgets.iter().find_map(|budget| self.spent(budget, now)) {
            return Err(refusal);
        }
        for budget in budgets {
            let count = self.0.entry(budget.rule.clone()).or_default();
            count.all = count.all.saturating_add(1);
            if budget.rate.is_some() {
                count.recent.push_back(now);
            }
        }
        Ok(())
    }

    fn spent(&mut self, budget: &Budget, now: Instant) -> Option<Refusal> {
        let count = self.0.entry(budget.rule.clone()).or_default();
        if let Some(most) = budget.count.filter(|most| count.all >= *most) {
            let message = format!("{most} times in an agent's life, and it has been done so often");
            return Some(refused(RefusalReason::CountExceeded, message, budget));
        }
        let rate = budget.rate?;
        let (most, span) = (rate.times(), Duration::from_secs(rate.seconds().into()));
        while count.recent.front().is_some_and(|then| now.duration_since(*then) >= span) {
            count.recent.pop_front();
        }
        let used = u32::try_from(count.recent.len()).unwrap_or(u32::MAX);
        (used >= most).then(|| {
            let again = count.recent.front().map_or(span, |then| span.saturating_sub(now.duration_since(*then)));
            let message = format!("{rate}, and it has been done so often; again in {} s", again.as_secs() + 1);
            refused(RefusalReason::RateExceeded, message, budget)
        })
    }
}

fn refused(reason: RefusalReason, message: String, budget: &Budget) -> Refusal {
    Refusal { rule: Some(budget.rule.clone()), ..Refusal::new(reason, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(rate: Option<&str>, count: Option<u32>) -> Budget {
        Budget { rule: "r".into(), rate: rate.map(|text| text.parse().unwrap()), count }
    }

    #[test]
    fn a_count_is_for_life_and_a_rate_slides() {
        let (mut counts, start) = (Counts::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let rate = [budget(Some("2/min"), None)];
        assert!(counts.take(&rate, at(0)).is_ok() && counts.take(&rate, at(30)).is_ok());
        let refusal = counts.take(&rate, at(59)).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::RateExceeded);
        assert!(refusal.message.ends_with("again in 2 s"), "{}", refusal.message);
        assert!(counts.take(&rate, at(60)).is_ok(), "the first has gone");
        assert!(counts.take(&rate, at(61)).is_err(), "the second has not");
        let mut counts = Counts::default();
        let count = [budget(None, Some(1))];
        assert!(counts.take(&count, at(0)).is_ok());
        assert_eq!(counts.take(&count, at(1_000_000)).unwrap_err().reason, RefusalReason::CountExceeded);
    }

    #[test]
    fn what_is_refused_by_one_budget_is_counted_by_none() {
        let mut counts = Counts::default();
        let now = Instant::now();
        let both = [budget(None, Some(5)), Budget { rule: "other".into(), rate: None, count: Some(1) }];
        assert!(counts.take(&both, now).is_ok());
        (0..10).for_each(|_| assert!(counts.take(&both, now).is_err()));
        (0..4).for_each(|_| assert!(counts.take(&both[..1], now).is_ok()));
        assert!(counts.take(&both[..1], now).is_err());
    }
}
