//! Samples, and taking them so that noise meets both sides alike.

use anyhow::Result;

/// Times of one thing in seconds, sorted. Not `Duration`: a system call takes some ten nanoseconds.
#[derive(Debug)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// At least one sample.
    pub(crate) fn new(mut times: Vec<f64>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable_by(f64::total_cmp);
        Self(times)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(1, 2)
    }

    /// The sample below which `part` of every `whole` lie.
    pub(crate) fn quantile(&self, part: usize, whole: usize) -> f64 {
        self.0[(self.0.len() - 1) * part / whole]
    }

    /// `1.93 ms (1.80 … 2.40)`: the median and the middle half.
    pub(crate) fn show(&self) -> String {
        format!("{} ({} … {})", show(self.median()), show(self.quantile(1, 4)), show(self.quantile(3, 4)))
    }
}

/// A time in seconds, with three digits.
pub(crate) fn show(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.1} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// How many times longer `ours` takes, at the median.
pub(crate) fn ratio(ours: &Samples, reference: &Samples) -> f64 {
    ours.median() / reference.median()
}

/// Measures `ours` and `reference` in turns, and each of them first in every other round: whatever else the machine
/// does meets both.
pub(crate) fn in_turns(
    rounds: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut reference: impl FnMut() -> Result<f64>,
) -> Result<(Samples, Samples)> {
    const WARM_UP: usize = 3;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for round in 0..rounds + WARM_UP {
        let (x, y) = if round % 2 == 0 {
            let x = ours()?;
            (x, reference()?)
        } else {
            let y = reference()?;
            (ours()?, y)
        };
        if round >= WARM_UP {
            a.push(x);
            b.push(y);
        }
    }
    Ok((Samples::new(a), Samples::new(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found_in_any_order() {
        let samples = Samples::new([5e-3, 1e-3, 9e-3, 3e-3, 7e-3].to_vec());
        assert_eq!(samples.median(), 5e-3);
        assert_eq!(samples.show(), "5.00 ms (3.00 ms … 7.00 ms)");
    }

    #[test]
    fn turns_alternate_who_is_first() {
        let order = std::cell::RefCell::new(String::new());
        let take = |letter| {
            let order = &order;
            move || {
                order.borrow_mut().push(letter);
                Ok(1e-3)
            }
        };
        in_turns(1, take('a'), take('b')).unwrap();
        assert_eq!(*order.borrow(), "abbaabba");
    }
}
