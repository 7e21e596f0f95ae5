//! Hostile text made safe for a terminal and a log line.

use std::fmt::Write as _;

/// Escapes what an agent chose (paths, arguments, program names) so that it can move no cursor and forge no line.
///
/// Printable characters stay, also outside ASCII; control characters, bidirectional overrides and other invisible
/// format characters become `\u{…}` and a backslash is doubled, so that the result can be read back unambiguously.
///
/// ```
/// assert_eq!(protocol::text::escape("a\x1b[31m\nb"), "a\\u{1b}[31m\\u{a}b");
/// ```
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if is_unsafe(c) => {
                // Writing into a String cannot fail.
                if write!(out, "\\u{{{:x}}}", u32::from(c)).is_err() {
                    return out;
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Escapes bytes that may not be text, such as the names of files: a byte that is no part of a UTF-8 character becomes
/// `\xff`.
///
/// ```
/// assert_eq!(protocol::text::escape_bytes(b"caf\xe9\n"), "caf\\xe9\\u{a}");
/// ```
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing into a String cannot fail.
            if write!(out, "\\x{byte:02x}").is_err() {
                return out;
            }
        }
    }
    out
}

/// Controls (Unicode category Cc) and the format characters (Cf) that reorder or hide text.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bidirectional_overrides_are_shown() {
        assert_eq!(escape("rm \u{202e}txt.exe"), "rm \\u{202e}txt.exe");
    }

    proptest! {
        #[test]
        fn nothing_that_moves_a_cursor_survives(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(is_unsafe));
        }
    }
}
