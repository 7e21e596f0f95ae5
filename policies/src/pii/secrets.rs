//! Private keys in PEM (RFC 7468).

use super::{Hit, PiiKind};

pub(super) const DASHES: &[u8] = b"-----";
/// The most bytes between the dashes of a line.
const LABEL: usize = 48;
/// So many characters of base64 in a row are no prose.
const BODY: usize = 40;

/// A private key from its first line to its last; without one, up to where its text ends.
///
/// What is read ends at the next five dashes, so that no byte is read for two beginnings.
pub(super) fn private_key(bytes: &[u8], at: usize) -> Option<Hit> {
    let (label, begin) = line(bytes, at, b"BEGIN ")?;
    label.windows(11).any(|words| words == b"PRIVATE KEY").then_some(())?;
    let (mut end, mut run, mut key_ends) = (begin, 0, None);
    while end < bytes.len() && !bytes[end..].starts_with(DASHES) {
        match bytes[end] {
            byte if byte.is_ascii_alphanumeric() || b"+/=".contains(&byte) => run += 1,
            byte if byte.is_ascii_whitespace() || b"\\:,-".contains(&byte) => run = 0,
            _ => break,
        }
        end += 1;
        if run >= BODY {
            key_ends = Some(end);
        }
    }
    let last = line(bytes, end, b"END ").map(|(_, end)| end);
    last.or(key_ends).map(|end| Hit { kind: PiiKind::Secret, start: at, end })
}

/// A line of dashes and words: its label, and where it ends. Labels of keys are in capitals, so that no label holds what stands
/// for something that was taken out before.
fn line<'b>(bytes: &'b [u8], at: usize, word: &[u8]) -> Option<(&'b [u8], usize)> {
    let label = bytes[at..].strip_prefix(DASHES)?.strip_prefix(word)?;
    let is_of_label = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    let length = label.iter().take(LABEL).take_while(|byte| is_of_label(byte)).count();
    label[length..].starts_with(DASHES).then_some(())?;
    let start = at + DASHES.len() + word.len();
    Some((&label[..length], start + length + DASHES.len()))
}
