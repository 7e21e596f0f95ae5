//! Amounts of processor.

use std::fmt;
use std::str::FromStr;

use crate::scalar::{ScalarError, Word, deserialize_as_word};

/// A share of the host's processors in cores, to the thousandth: `2`, `0.5`, `1.25`.
///
/// Kept as thousandths so that two equal policies compare equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cores(u32);

/// More than any host has; a larger number is a typing error.
const MOST: u32 = 65_536;

impl Cores {
    /// The share in thousandths of a core.
    #[must_use]
    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// The share in cores.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl Word for Cores {
    const EXPECTED: &'static str = "a number of cores, such as 2.0 or 0.5";
}

impl FromStr for Cores {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let refuse = |why: &str| ScalarError::new(format!("`{text}` is not a number of cores: {why}"));
        let malformed = || refuse("write a decimal number with at most three places, such as 2.0 or 0.5");
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || fraction.len() > 3 {
            return Err(malformed());
        }
        let whole = whole.parse::<u32>().ok().filter(|whole| *whole <= MOST);
        let whole = whole.ok_or_else(|| refuse("no host has so many"))?;
        let fraction = format!("{fraction:0<3}").parse::<u32>().map_err(|_| malformed())?;
        match whole * 1000 + fraction {
            0 => Err(refuse("it must be more than zero")),
            thousandths => Ok(Self(thousandths)),
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:03}", self.0 % 1000);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{}.0", self.0 / 1000),
            fraction => write!(f, "{}.{fraction}", self.0 / 1000),
        }
    }
}

deserialize_as_word!(Cores);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_decimal_numbers() {
        for (text, thousandths, shown) in [("2", 2000, "2.0"), ("0.5", 500, "0.5"), ("1.25", 1250, "1.25")] {
            let cores: Cores = text.parse().expect(text);
            assert_eq!((cores.thousandths(), cores.to_string().as_str()), (thousandths, shown));
        }
    }

    #[test]
    fn what_is_no_plain_decimal_number_is_refused() {
        for text in
            ["", ".", "2.", ".5", "-1", "1e3", "nan", ".inf", "0", "0.000", "0.0001", "1_0", "0x2", "99999999", "two"]
        {
            assert!(text.parse::<Cores>().is_err(), "{text:?} was taken");
        }
    }
}
