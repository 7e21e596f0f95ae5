//! Personal data and secrets, found in text and taken out: what the filter `pii` does.
//!
//! One pass from left to right. Each finder looks at a bounded number of bytes, or at bytes that no other start will look
//! at again, so the time is linear whatever the text. A finder wants more than digits that look right: a checksum, a range,
//! a prefix or a word beside them, because a filter that damages ordinary data is switched off. It finds forms, not
//! meanings: names and street addresses have none.

mod assignment;
mod email;
mod json;
mod numbers;
mod secrets;
mod tokens;

use std::borrow::Cow;
use std::fmt;

pub use json::redact_json;

/// What is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PiiKind {
    /// The number of a payment card: 13 to 19 digits of a known issuer with a valid check digit.
    Card,
    /// A social security number of the United States.
    Ssn,
    /// The number of a bank account, with its length and check digits.
    Iban,
    /// An e-mail address.
    Email,
    /// A key, token or password.
    Secret,
}

impl PiiKind {
    const ALL: [Self; 5] = [Self::Card, Self::Ssn, Self::Iban, Self::Email, Self::Secret];

    /// What stands in its place.
    #[must_use]
    pub fn replacement(self) -> &'static str {
        match self {
            Self::Card => "[redacted:card]",
            Self::Ssn => "[redacted:ssn]",
            Self::Iban => "[redacted:iban]",
            Self::Email => "[redacted:email]",
            Self::Secret => "[redacted:secret]",
        }
    }

    /// The word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.replacement().trim_start_matches("[redacted:").trim_end_matches(']')
    }
}

impl fmt::Display for PiiKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How often something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Found {
    /// What.
    pub kind: PiiKind,
    /// How often, at least once.
    pub count: usize,
}

/// A text without what was found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<'t> {
    /// The text; the very same where nothing was found.
    pub text: Cow<'t, str>,
    /// What was found, each sort once.
    pub found: Vec<Found>,
}

/// Takes personal data and secrets out of a text.
///
/// ```
/// let redacted = policies::pii::redact("Card 4111 1111 1111 1111, order 4111 1111 1111 1112");
/// assert_eq!(redacted.text, "Card [redacted:card], order 4111 1111 1111 1112");
/// assert_eq!(redacted.found[0].count, 1);
/// ```
#[must_use]
pub fn redact(text: &str) -> Redacted<'_> {
    let mut counts = Counts::default();
    let text = redacted(text, &mut counts);
    Redacted { text, found: counts.found() }
}

/// How often each sort was found.
#[derive(Default)]
struct Counts([usize; PiiKind::ALL.len()]);

impl Counts {
    fn add(&mut self, kind: PiiKind) {
        let slot = PiiKind::ALL.iter().zip(&mut self.0).find(|(known, _)| **known == kind);
        if let Some((_, count)) = slot {
            *count += 1;
        }
    }

    fn found(&self) -> Vec<Found> {
        let all = PiiKind::ALL.into_iter().zip(self.0);
        all.filter(|(_, count)| *count > 0).map(|(kind, count)| Found { kind, count }).collect()
    }
}

/// Something found: where it begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hit {
    kind: PiiKind,
    start: usize,
    end: usize,
}

/// A text, and what has become of its beginning.
struct Scan<'t> {
    text: &'t str,
    /// What has been written, up to `taken` in the text.
    out: String,
    taken: usize,
}

fn redacted<'t>(text: &'t str, counts: &mut Counts) -> Cow<'t, str> {
    let mut scan = Scan { text, out: String::new(), taken: 0 };
    let (mut at, mut any) = (0, false);
    while at < text.len() {
        let Some(hit) = scan.hit(at) else {
            at += 1;
            continue;
        };
        scan.out.push_str(&text[scan.taken..hit.start]);
        scan.out.push_str(hit.kind.replacement());
        counts.add(hit.kind);
        (scan.taken, at, any) = (hit.end, hit.end, true);
    }
    if !any {
        return Cow::Borrowed(text);
    }
    scan.out.push_str(&text[scan.taken..]);
    Cow::Owned(scan.out)
}

impl Scan<'_> {
    /// What is found at this byte. The finders see nothing of what has been taken out before, as a second pass would not.
    fn hit(&self, at: usize) -> Option<Hit> {
        let (text, at) = (&self.text[self.taken..], at - self.taken);
        let hit = match text.as_bytes()[at] {
            b'@' => email::around(text, at),
            b'-' => secrets::private_key(text.as_bytes(), at),
            byte if byte.is_ascii_alphanumeric() && starts_word(text, at) => self.word(text, at),
            _ => None,
        };
        hit.map(|Hit { kind, start, end }| Hit { kind, start: start + self.taken, end: end + self.taken })
    }

    /// What begins with the word at this byte.
    fn word(&self, text: &str, at: usize) -> Option<Hit> {
        let bytes = text.as_bytes();
        if bytes[at].is_ascii_digit() {
            return numbers::card(bytes, at).or_else(|| numbers::ssn(bytes, at, || self.context(&bytes[..at])));
        }
        tokens::token(bytes, at).or_else(|| numbers::iban(bytes, at)).or_else(|| assignment::value_after(text, at))
    }

    /// Whether the words before say that a social security number follows. It is what is left of them that counts, so
    /// that a second pass sees the same.
    fn context(&self, own: &[u8]) -> bool {
        const NEAR: usize = 40;
        let own = &own[own.len().saturating_sub(NEAR)..];
        let out = self.out.as_bytes();
        let before = &out[out.len().saturating_sub(NEAR - own.len())..];
        numbers::speaks_of_ssn(&[before, own].concat())
    }
}

/// Whether a character is part of a word. Ideographs and the like, which no space parts from what stands beside them, are
/// not.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() && c < '\u{2e80}'
}

/// Whether nothing of the same word stands before; `\n` and the like, as text in text has them, are no letters.
fn starts_word(text: &str, at: usize) -> bool {
    let before = &text[..at];
    !before.ends_with(in_word) || ["\\n", "\\r", "\\t"].iter().any(|escape| before.ends_with(escape))
}

/// Whether the word ends before `at`, which is the beginning of a character.
fn ends_word(bytes: &[u8], at: usize) -> bool {
    let next = bytes.get(at..).unwrap_or_default();
    let next = next[..next.len().min(4)].utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    !next.is_some_and(in_word)
}
