//! Times as people read them: UTC, RFC 3339. No time zone is looked up, so no file is read and every host agrees.

use protocol::ids::TimeUs;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// `2026-11-23T05:57:22.123Z`.
pub(crate) fn utc(time: TimeUs) -> String {
    let seconds = time.0 / 1_000_000;
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3_600, seconds % 3_600 / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", time.0 % 1_000_000 / 1_000)
}

/// The Gregorian date of a day counted from 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // Leap years repeat after 400 years of 146 097 days, so that a hostile time costs no long loop.
    let (mut year, mut left) = (1970 + days / 146_097 * 400, days % 146_097);
    while left >= days_of_year(year) {
        left -= days_of_year(year);
        year += 1;
    }
    let february = if days_of_year(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

fn days_of_year(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

/// Now, as the interface counts.
pub(crate) fn now() -> TimeUs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeUs(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// How long ago, in one unit: `12s`, `3m`, `5h`, `4d`.
pub(crate) fn age(time: TimeUs, now: TimeUs) -> String {
    let seconds = now.0.saturating_sub(time.0) / 1_000_000;
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_the_calendars() {
        // The numbers are those of date(1): date -u -d @SECONDS.
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_795_413_442, "2026-11-23T05:57:22.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(TimeUs(seconds * 1_000_000)), shown);
        }
        assert_eq!(utc(TimeUs(1_234_567)), "1970-01-01T00:00:01.234Z");
    }

    #[test]
    fn ages_have_one_unit() {
        let of = |seconds: u64| age(TimeUs(0), TimeUs(seconds * 1_000_000));
        assert_eq!([of(0), of(119), of(120), of(7_200), of(172_800)], ["0s", "119s", "2m", "2h", "2d"]);
        assert_eq!(age(TimeUs(5), TimeUs(0)), "0s", "a clock that was set back");
    }
}
