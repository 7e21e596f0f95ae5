//! Moments as people write them: a date, a time in UTC, or how long ago.

use crate::values::parse_duration;
use protocol::ids::TimeUs;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment of the past, as time since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// In nanoseconds, as the audit log counts.
    pub(crate) fn nanoseconds(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Moment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        at(text, now).map(Self).ok_or_else(|| {
            format!("{text:?} is no time: write 2026-11-23, 2026-11-23T05:57:22Z (UTC), or how long ago, such as 1h30m")
        })
    }
}

fn at(text: &str, now: Duration) -> Option<Duration> {
    if let Ok(ago) = parse_duration(text) {
        // A year such as 2026 would be half an hour ago.
        return text.ends_with(|c: char| c.is_ascii_alphabetic()).then(|| now.saturating_sub(ago));
    }
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let [year, month, day] = numbers(date, '-')?;
    let (clock, fraction) = match time.strip_suffix('Z')?.split_once('.') {
        Some((clock, digits)) => (clock, format!("0.{digits}").parse().ok()?),
        None => (time.strip_suffix('Z')?, 0.0),
    };
    let [hour, minute, second] = numbers(clock, ':')?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days(year, month, day)?;
    let whole = Duration::from_secs(days * 86_400 + hour * 3_600 + minute * 60 + second);
    whole.checked_add(Duration::try_from_secs_f64(fraction).ok()?)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<u64> =
        text.split(between).map(|part| part.parse().ok().filter(|_| digits(part))).collect::<Option<_>>()?;
    parts.try_into().ok()
}

/// Days from 1970-01-01 to that of the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at the end (H. Hinnant, chrono-compatible date algorithms).
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = before.checked_sub(719_468)?;
    // The 31st of a month with 30 days is the 1st of another.
    let shown = crate::show::time::utc(TimeUs(days * 86_400_000_000));
    shown.get(8..10).and_then(|text| text.parse().ok()).filter(|shown: &u64| *shown == day).map(|_| days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_a_time_or_how_long_ago() {
        let now = Duration::from_secs(1_795_413_442);
        // The numbers are those of date(1): date -u -d 2026-11-23T05:57:22Z +%s.
        for (text, expected) in [
            ("2026-11-23T05:57:22Z", Some(1_795_413_442_000)),
            ("2026-11-23T05:57:22.250Z", Some(1_795_413_442_250)),
            ("2026-11-23", Some(1_795_392_000_000)),
            ("2000-02-29", Some(951_782_400_000)),
            ("1970-01-01", Some(0)),
            ("1h30m", Some(1_795_408_042_000)),
            ("2026-02-29", None),
            ("2026-13-01", None),
            ("2026-11-23T25:00:00Z", None),
            ("2026-11-23T05:57:22", None),
            ("2026-11-23 05:57:22Z", None),
            ("2026", None),
            ("+2026-11-23", None),
            ("yesterday", None),
        ] {
            assert_eq!(at(text, now).map(|moment| moment.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read() {
        for seconds in [0, 951_868_800, 1_795_413_442, 4_107_542_400_u64] {
            let shown = crate::show::time::utc(TimeUs(seconds * 1_000_000));
            assert_eq!(at(&shown, Duration::ZERO), Some(Duration::from_secs(seconds)), "{shown}");
        }
    }
}
