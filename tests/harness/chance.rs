//! Tests that do their worst at moments nobody chose.

use std::time::{Duration, SystemTime};

/// How often a test does the worst: as the environment's `variable` says, or `usual`.
#[must_use]
pub fn times(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Numbers that differ from run to run; the first is printed.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Begins with the clock.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two of them are not alike")]
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seed = u64::from(now.subsec_nanos()) | 1;
        println!("seed {seed}");
        Self(seed)
    }

    /// Begins where another run did.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        println!("seed {seed}");
        Self(seed | 1)
    }

    /// A number below `end`, which is not 0. Xorshift (Marsaglia 2003).
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Some time in which work is under way: 50 to 550 ms.
    pub fn moment(&mut self) -> Duration {
        Duration::from_millis(50 + self.below(500))
    }
}
