//! Keys and tokens that are known by how they begin.

use super::secrets::DASHES;
use super::{Hit, PiiKind};

/// What a token consists of.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    /// Capital letters and digits.
    Capitals,
    /// Letters and digits.
    Letters,
    /// Letters, digits and `_`.
    Words,
    /// Letters, digits, `_` and `-`.
    Any,
    /// The same, with a capital, a small letter and a digit among them.
    Mixed,
}

/// How tokens begin, and what follows: of which characters, and how many at least and at most.
const FORMS: &[(&str, Of, std::ops::RangeInclusive<usize>)] = &[
    ("AKIA", Of::Capitals, 16..=16),
    ("ASIA", Of::Capitals, 16..=16),
    ("ghp_", Of::Letters, 36..=255),
    ("gho_", Of::Letters, 36..=255),
    ("ghu_", Of::Letters, 36..=255),
    ("ghs_", Of::Letters, 36..=255),
    ("ghr_", Of::Letters, 36..=255),
    ("github_pat_", Of::Words, 22..=255),
    ("sk-ant-", Of::Any, 20..=255),
    ("sk-", Of::Mixed, 20..=255),
    ("xoxb-", Of::Any, 10..=255),
    ("xoxp-", Of::Any, 10..=255),
];

/// The token that begins here.
pub(super) fn token(bytes: &[u8], at: usize) -> Option<Hit> {
    // One that begins within a longer word would be read once for every beginning in it.
    if matches!(bytes[..at], [.., b'_' | b'-']) {
        return None;
    }
    let rest = &bytes[at..];
    let whole = span(rest);
    let known = FORMS.iter().any(|(begin, of, lengths)| {
        let follows = rest[..whole].strip_prefix(begin.as_bytes());
        follows.is_some_and(|follows| lengths.contains(&follows.len()) && of.fits(follows))
    });
    let end = if known { Some(at + whole) } else { web_token(rest, whole).map(|length| at + length) };
    end.map(|end| Hit { kind: PiiKind::Secret, start: at, end })
}

impl Of {
    fn takes(self, byte: u8) -> bool {
        match self {
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Letters => byte.is_ascii_alphanumeric(),
            Self::Words => byte.is_ascii_alphanumeric() || byte == b'_',
            Self::Any | Self::Mixed => byte.is_ascii_alphanumeric() || b"_-".contains(&byte),
        }
    }

    fn fits(self, text: &[u8]) -> bool {
        let has = |sort: fn(&u8) -> bool| self != Self::Mixed || text.iter().any(sort);
        let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
        mixed && text.iter().all(|byte| self.takes(*byte))
    }
}

/// How far a token can go at most. Five dashes begin something else.
fn span(text: &[u8]) -> usize {
    let inside = |at: &usize| Of::Any.takes(text[*at]) && !text[*at..].starts_with(DASHES);
    (0..text.len()).take_while(inside).count()
}

/// The length of a JSON Web Token (RFC 7519): three parts, of which the first two are JSON objects in base64url. Each part
/// is read as the first, second and third of a token at most.
fn web_token(text: &[u8], first: usize) -> Option<usize> {
    let object = |part: &[u8]| part.starts_with(b"eyJ") && part.len() >= 8;
    object(&text[..first]).then_some(())?;
    let part = |from: usize| {
        let part = span(text.get(from..)?);
        (text.get(from - 1) == Some(&b'.')).then_some(part)
    };
    let second = part(first + 1)?;
    object(&text[first + 1..first + 1 + second]).then_some(())?;
    let third = part(first + second + 2)?;
    (third >= 8).then_some(first + second + third + 2)
}
