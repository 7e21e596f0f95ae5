//! E-mail addresses, found at their `@`.

use super::{Hit, PiiKind, in_word};

/// The address around the `@` at this byte.
///
/// What stands before the `@` is read up to the one before, and what stands behind it up to the next, so that no byte is
/// read more than twice.
pub(super) fn around(text: &str, at: usize) -> Option<Hit> {
    let local = |c: char| in_word(c) || "._%+-".contains(c);
    let before: usize = text[..at].chars().rev().take_while(|c| local(*c)).map(char::len_utf8).sum();
    let name = text[at - before..at].trim_start_matches(|c: char| !in_word(c));
    if name.is_empty() || name.ends_with('.') {
        return None;
    }
    let behind = &text[at + 1..];
    let length: usize = behind.chars().take_while(|c| in_word(*c) || matches!(c, '.' | '-')).map(char::len_utf8).sum();
    let host = &behind[..domain(&behind[..length])?];
    let end = at + 1 + host.len();
    // `git@host:path` says where a repository is, `icon@2x.png` for which screens a picture is.
    let repository = name == "git" && text[end..].starts_with(':');
    let scaled = host.as_bytes().first().is_some_and(u8::is_ascii_digit) && host[1..].starts_with("x.");
    (!repository && !scaled).then_some(Hit { kind: PiiKind::Email, start: at - name.len(), end })
}

/// The length of the longest beginning that is a domain: labels, the last of at least two letters.
fn domain(text: &str) -> Option<usize> {
    let (mut start, mut length) = (0, None);
    for label in text.split('.') {
        let letters: usize = label.chars().take_while(|c| c.is_alphabetic() && in_word(*c)).map(char::len_utf8).sum();
        let top = &label[..letters];
        let punycode = label.to_ascii_lowercase().starts_with("xn--") && !label.ends_with('-');
        if start > 0 && punycode {
            length = Some(start + label.len());
        } else if start > 0 && top.chars().nth(1).is_some() && !label[letters..].starts_with(in_word) {
            length = Some(start + letters);
        }
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
            break;
        }
        start += label.len() + 1;
    }
    length
}
