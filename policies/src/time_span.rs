//! Lengths of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::scalar::{ScalarError, Word, deserialize_as_word};

/// A length of time in whole seconds, never zero, written with units: `90s`, `15m`, `2h`, `1d12h`.
///
/// ```
/// let span: policies::TimeSpan = "1h30m".parse()?;
/// assert_eq!(span.seconds(), 5400);
/// assert_eq!(span.to_string(), "1h30m");
/// # Ok::<(), policies::ScalarError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(u64);

/// Largest first: a span is written in this order and each unit at most once.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

impl TimeSpan {
    /// The length in seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// The length as the standard library's type.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl Word for TimeSpan {
    const EXPECTED: &'static str = "a length of time with a unit, such as 2h";
}

impl FromStr for TimeSpan {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let refuse = |why: &str| ScalarError::new(format!("`{text}` is not a length of time: {why}"));
        let malformed = || refuse("write whole numbers with d, h, m, s in that order, such as 2h or 1h30m");
        let (mut rest, mut total, mut units) = (text, 0_u64, UNITS.iter());
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let unit = tail.chars().next().ok_or_else(malformed)?;
            // Taking from the same iterator makes a repeated or smaller-first unit fail to be found.
            let (_, factor) = units.find(|(name, _)| *name == unit).ok_or_else(malformed)?;
            if number.is_empty() {
                return Err(malformed());
            }
            let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
            total = part.and_then(|part| total.checked_add(part)).ok_or_else(|| refuse("it is too long"))?;
            rest = &tail[unit.len_utf8()..];
        }
        if total == 0 {
            return Err(if text.is_empty() { malformed() } else { refuse("it must be more than zero") });
        }
        Ok(Self(total))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (unit, factor) in UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

deserialize_as_word!(TimeSpan);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_numbers_with_units_from_large_to_small() {
        for (text, seconds) in [("90s", 90), ("2h", 7200), ("1d", 86_400), ("1d1h1m1s", 90_061)] {
            assert_eq!(text.parse::<TimeSpan>().map(TimeSpan::seconds), Ok(seconds), "{text}");
        }
        assert_eq!("90s".parse::<TimeSpan>().map(|span| span.to_string()), Ok("1m30s".to_owned()));
    }

    #[test]
    fn anything_that_leaves_the_length_to_a_guess_is_refused() {
        for text in [
            "",
            "2",
            "h",
            "2h2h",
            "1m1h",
            "2 h",
            "1.5h",
            "-1h",
            "0s",
            "2µ",
            "2H",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert!(text.parse::<TimeSpan>().is_err(), "{text:?} was taken");
        }
    }
}
