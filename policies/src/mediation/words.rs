//! Rates: how often in how long.

use std::fmt;
use std::str::FromStr;

use crate::scalar::{ScalarError, Word, deserialize_as_word};

/// The units from short to long, in seconds.
const UNITS: [(&str, u32); 4] = [("s", 1), ("min", 60), ("h", 3600), ("d", 86_400)];

/// So many times in so long: `60/min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    times: u32,
    seconds: u32,
}

impl Rate {
    /// How often, at least once.
    #[must_use]
    pub fn times(self) -> u32 {
        self.times
    }

    /// In how many seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.seconds
    }
}

impl Word for Rate {
    const EXPECTED: &'static str = "a rate, such as 60/min";
}

impl FromStr for Rate {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let malformed = || {
            ScalarError::new(format!(
                "`{text}` is not a rate: write a whole number and /s, /min, /h or /d, as in 60/min"
            ))
        };
        let (times, unit) = text.split_once('/').ok_or_else(malformed)?;
        let digits = !times.is_empty() && times.bytes().all(|b| b.is_ascii_digit());
        let times = times.parse().ok().filter(|times| digits && *times > 0).ok_or_else(malformed)?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        Ok(Self { times, seconds: *seconds })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| *seconds == self.seconds).map_or("", |(name, _)| name);
        write!(f, "{}/{unit}", self.times)
    }
}

deserialize_as_word!(Rate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_back_what_it_shows_and_leaves_nothing_to_a_guess() {
        for text in ["1/s", "60/min", "1000/h", "5/d"] {
            assert_eq!(text.parse::<Rate>().map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "60", "/min", "0/min", "-1/s", "1.5/s", "60/m", "60/ min", "60/minute", "9999999999/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text:?} was taken");
        }
    }
}
