//! Amounts of bytes.

use std::fmt;
use std::str::FromStr;

use crate::scalar::{ScalarError, Word, deserialize_as_word};

/// A number of bytes, never zero, written with a binary unit: `512B`, `64KiB`, `256MiB`, `4GiB`, `1TiB`.
///
/// ```
/// let size: policies::Size = "4GiB".parse()?;
/// assert_eq!(size.bytes(), 4 << 30);
/// assert_eq!(size.to_string(), "4GiB");
/// assert!("4096".parse::<policies::Size>().is_err(), "a size without a unit is a guess");
/// # Ok::<(), policies::ScalarError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// Largest first, so that `Display` finds the largest unit that divides the amount.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn of_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The amount in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl Word for Size {
    const EXPECTED: &'static str = "a size with a unit, such as 4GiB";
}

impl FromStr for Size {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let refuse = |why: &str| Err(ScalarError::new(format!("`{text}` is not a size: {why}")));
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return refuse("write a whole number and B, KiB, MiB, GiB or TiB, such as 512MiB");
        };
        match number.parse::<u64>() {
            Err(_) if number.is_empty() => refuse("the number is missing"),
            Err(_) => refuse("the number is too large"),
            Ok(0) => refuse("it must be more than zero"),
            Ok(number) => match number.checked_mul(*factor) {
                Some(bytes) => Ok(Self(bytes)),
                None => refuse("it is more than 16 EiB"),
            },
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in UNITS {
            if self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

deserialize_as_word!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_and_a_binary_unit() {
        for (text, bytes) in [("1B", 1), ("64KiB", 65_536), ("3MiB", 3 << 20), ("2TiB", 2 << 40)] {
            assert_eq!(text.parse::<Size>().map(Size::bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn anything_that_leaves_the_amount_to_a_guess_is_refused() {
        for text in
            ["", "4", "4G", "4GB", "4gib", "4 GiB", "GiB", "1.5GiB", "-1GiB", "0GiB", "+1B", "0x10B", "99999999TiB"]
        {
            assert!(text.parse::<Size>().is_err(), "{text:?} was taken");
        }
    }
}
