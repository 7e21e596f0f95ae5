//! The records of a pax header: `LENGTH KEY=VALUE\n`, where the length counts itself too.

use super::fields::{MAX_NUMBER, NAME};
use super::{ATTRIBUTES, Entry, Kind, Time};
use std::collections::BTreeMap;

/// What star(1), GNU tar and libarchive put before the name of an extended attribute.
const XATTR: &[u8] = b"SCHILY.xattr.";
/// What GNU tar says of files whose holes it left out.
const SPARSE: &[u8] = b"GNU.sparse.";

/// Values that replace those of a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<Time>,
    pub(super) attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Why bytes are no records.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PaxError {
    #[error("a record has no length, or a wrong one")]
    Length,
    #[error("the record {0:?} has a value that is none")]
    Value(String),
    #[error("holes were left out of a file; write the archive without --sparse")]
    Sparse,
}

/// The records that an entry needs; empty when everything fits its header.
pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    let link = match &entry.kind {
        Kind::Symlink { target } => target.as_slice(),
        Kind::HardLink { to } => to,
        _ => &[],
    };
    let long = |bytes: &[u8], room: usize| bytes.len() > room;
    // A directory's name has a slash at its end in the header.
    let room = NAME - usize::from(entry.kind == Kind::Directory);
    let (long_path, long_link) = (long(&entry.path, room), long(link, NAME));
    let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    if (long_path && !is_text(&entry.path)) || (long_link && !is_text(link)) {
        record(&mut records, b"hdrcharset", b"BINARY");
    }
    if long_link {
        record(&mut records, b"linkpath", link);
    }
    if !fits(entry.mtime) {
        record(&mut records, b"mtime", decimal(entry.mtime).as_bytes());
    }
    if long_path {
        record(&mut records, b"path", &entry.path);
    }
    if let Kind::File { size } = entry.kind
        && size > MAX_NUMBER
    {
        record(&mut records, b"size", size.to_string().as_bytes());
    }
    for (name, value) in &entry.attributes {
        record(&mut records, &[XATTR, &keyword(name)].concat(), value);
    }
    records
}

/// Whether a header can say it.
pub(super) fn fits(time: Time) -> bool {
    time.nanoseconds == 0 && u64::try_from(time.seconds).is_ok_and(|seconds| seconds <= MAX_NUMBER)
}

fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    for piece in [b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(piece);
    }
}

/// Reads records, each over the one of the same key before it.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Records, PaxError> {
    let mut records = Records::default();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or(PaxError::Length)?;
        let length = digits(&bytes[..space]).and_then(|length| usize::try_from(length).ok()).ok_or(PaxError::Length)?;
        let one = bytes.get(space + 1..length).and_then(|one| one.strip_suffix(b"\n")).ok_or(PaxError::Length)?;
        let equals = one.iter().position(|byte| *byte == b'=').ok_or(PaxError::Length)?;
        understand(&mut records, &one[..equals], &one[equals + 1..])?;
        bytes = &bytes[length..];
    }
    Ok(records)
}

/// An empty value takes an earlier one back; keys that say nothing of ours (owners, access times) are passed over.
fn understand(records: &mut Records, key: &[u8], value: &[u8]) -> Result<(), PaxError> {
    let wrong = || PaxError::Value(String::from_utf8_lossy(key).into_owned());
    let given = !value.is_empty();
    match key {
        b"path" => records.path = given.then(|| value.to_vec()),
        b"linkpath" => records.link = given.then(|| value.to_vec()),
        b"size" => records.size = given.then(|| digits(value).ok_or_else(wrong)).transpose()?,
        b"mtime" => records.mtime = given.then(|| time(value).ok_or_else(wrong)).transpose()?,
        _ if key.starts_with(SPARSE) => return Err(PaxError::Sparse),
        _ => {
            if let Some(name) = key.strip_prefix(XATTR).map(attribute)
                && name.starts_with(ATTRIBUTES)
            {
                records.attributes.insert(name, value.to_vec());
            }
        }
    }
    Ok(())
}

/// A number of digits and nothing else.
fn digits(bytes: &[u8]) -> Option<u64> {
    let all = bytes.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(bytes).ok().filter(|_| all)?.parse().ok()
}

/// An attribute's name as a key, which can hold no `=`: GNU tar's way.
fn keyword(name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'%' => key.extend_from_slice(b"%25"),
            b'=' => key.extend_from_slice(b"%3D"),
            other => key.push(*other),
        }
    }
    key
}

/// And back.
fn attribute(mut key: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(key.len());
    while let [first, rest @ ..] = key {
        let (byte, rest) = match key {
            [b'%', b'2', b'5', rest @ ..] => (b'%', rest),
            [b'%', b'3', b'D', rest @ ..] => (b'=', rest),
            _ => (*first, rest),
        };
        name.push(byte);
        key = rest;
    }
    name
}

fn decimal(time: Time) -> String {
    let Time { seconds, nanoseconds } = time;
    match (seconds, nanoseconds) {
        (_, 0) => seconds.to_string(),
        (0.., _) => format!("{seconds}.{nanoseconds:09}"),
        // The nanoseconds count forwards from a second before.
        (_, _) => format!("-{}.{:09}", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanoseconds),
    }
}

/// Digits after the ninth are cut off.
fn time(bytes: &[u8]) -> Option<Time> {
    let (negative, bytes) = bytes.strip_prefix(b"-").map_or((false, bytes), |rest| (true, rest));
    let (whole, fraction) = match bytes.iter().position(|byte| *byte == b'.') {
        Some(point) => (&bytes[..point], &bytes[point + 1..]),
        None => (bytes, &[][..]),
    };
    let whole = digits(whole)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nine = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = nine.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanoseconds) {
        (false, _) => Time { seconds: i64::try_from(whole).ok()?, nanoseconds },
        (true, 0) => Time { seconds: 0_i64.checked_sub_unsigned(whole)?, nanoseconds },
        (true, _) => {
            let seconds = 0_i64.checked_sub_unsigned(whole)?.checked_sub(1)?;
            Time { seconds, nanoseconds: 1_000_000_000 - nanoseconds }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_are_those_of_the_standard() {
        let mut records = Vec::new();
        record(&mut records, b"path", b"x");
        record(&mut records, b"k", &[b'v'; 93]);
        record(&mut records, b"k", &[b'v'; 94]);
        let (short, long) = (format!("99 k={}\n", "v".repeat(93)), format!("101 k={}\n", "v".repeat(94)));
        assert_eq!(String::from_utf8_lossy(&records), format!("9 path=x\n{short}{long}"));
        assert_eq!((short.len(), long.len()), (99, 101), "no record has 100 bytes");
    }

    #[test]
    fn times_before_1970_are_not_a_second_off() {
        for (text, seconds, nanoseconds) in [
            ("-0.500000000", -1, 500_000_000),
            ("-1.000000001", -2, 999_999_999),
            ("-7", -7, 0),
            ("-9223372036854775808", i64::MIN, 0),
            ("1.000000001", 1, 1),
            ("12", 12, 0),
        ] {
            let moment = Time { seconds, nanoseconds };
            assert_eq!((decimal(moment).as_str(), time(text.as_bytes())), (text, Some(moment)));
        }
        assert_eq!(time(b"1.5"), Some(Time { seconds: 1, nanoseconds: 500_000_000 }));
        for bad in ["", "-", ".5", "1.x", "x", "99999999999999999999", "+1", "1.-5"] {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bad in ["x", "5", "9 a=b\n", "5 a=b", "0 a=b\n", "7 a=b\nx\n", "6 abb\n", "99999999999999999999 a=b\n"] {
            assert_eq!(decode(bad.as_bytes()), Err(PaxError::Length), "{bad:?}");
        }
        assert_eq!(decode(b"10 size=-1\n").unwrap_err(), PaxError::Length);
        assert_eq!(decode(b"11 size=-1\n").unwrap_err(), PaxError::Value("size".to_owned()));
        assert_eq!(decode(b"22 GNU.sparse.major=1\n").unwrap_err(), PaxError::Sparse);
        assert_eq!(decode(b"30 SCHILY.xattr.security.a=bc\n"), Ok(Records::default()), "the host's own");
    }

    proptest! {
        #[test]
        fn attributes_keep_every_byte(name in proptest::collection::vec(1..=255_u8, 0..40), value in any::<Vec<u8>>()) {
            let name = [ATTRIBUTES, &name].concat();
            let mut records = Vec::new();
            record(&mut records, &[XATTR, &keyword(&name)].concat(), &value);
            let decoded = decode(&records).unwrap();
            prop_assert_eq!(decoded.attributes.get(&name), Some(&value));
        }

        #[test]
        fn every_time_reads_back(seconds in any::<i64>(), nanoseconds in 0..1_000_000_000_u32) {
            let moment = Time { seconds, nanoseconds };
            prop_assert_eq!(time(decimal(moment).as_bytes()), Some(moment));
        }
    }
}
