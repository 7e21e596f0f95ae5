//! Secrets that are known by their names: `password: …`, `"api_key": "…"`, `?client_secret=…`.

use super::{Hit, PiiKind, starts_word};

/// Names of secrets; a name may have more words before, as in `DB_PASSWORD` and `dbPassword`.
const NAMES: [&str; 18] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "secret_key",
    "secret_access_key",
    "api_key",
    "apikey",
    "api-key",
    "access_token",
    "auth_token",
    "refresh_token",
    "private_key",
    "secretkey",
    "accesstoken",
    "authtoken",
    "privatekey",
];

/// What stands where a secret would, and is none.
const PLACEHOLDERS: [&str; 24] = [
    "null",
    "none",
    "nil",
    "undefined",
    "true",
    "false",
    "required",
    "optional",
    "string",
    "str",
    "text",
    "bytes",
    "password",
    "secret",
    "hidden",
    "masked",
    "redacted",
    "example",
    "placeholder",
    "changeme",
    "invalid",
    "incorrect",
    "missing",
    "empty",
];

/// The longest value without quotes that is looked at twice: what is longer is no word.
const MOST: usize = 512;

/// Whether a key is the name of a secret, as far as it goes.
pub(super) fn names_secret(key: &str) -> bool {
    let begins = |at: &usize| key.as_bytes()[*at].is_ascii_alphabetic() && starts_word(key, *at);
    let starts = key.char_indices().map(|(at, _)| at);
    starts.filter(begins).any(|at| name_end(key.as_bytes(), at) == Some(key.len()))
}

/// Where the name of a secret ends that begins with this word, or is the last part of it in one like `dbPassword`.
///
/// Nothing but the name is passed over, so that what is found after it hides nothing before it.
fn name_end(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let named = |known: &str, start: usize| {
        let end = start + known.len();
        let same = bytes.get(start..end).is_some_and(|name| name.eq_ignore_ascii_case(known.as_bytes()));
        let over = bytes.get(end).is_none_or(|next| !next.is_ascii_alphanumeric() && !matches!(next, b'_' | b'-'));
        let apart = start == at || (bytes[start].is_ascii_uppercase() && bytes[start - 1].is_ascii_lowercase());
        (same && over && apart).then_some(end)
    };
    NAMES.iter().find_map(|known| {
        let inner = word.checked_sub(known.len()).and_then(|before| named(known, at + before));
        inner.or_else(|| named(known, at))
    })
}

/// The value that the name at this byte is given, if the name is a secret's.
pub(super) fn value_after(text: &str, at: usize) -> Option<Hit> {
    let mut rest = &text[name_end(text.as_bytes(), at)?..];
    rest = rest.trim_start_matches('\\').trim_start_matches(['"', '\'']);
    rest = spaces(rest);
    rest = rest.strip_prefix(":=").or_else(|| rest.strip_prefix("=>")).or_else(|| rest.strip_prefix([':', '=']))?;
    rest = spaces(rest);
    let escaped = rest.strip_prefix('\\').filter(|rest| rest.starts_with('"'));
    let quote = escaped.unwrap_or(rest).chars().next().filter(|c| matches!(c, '"' | '\''));
    let (value, secret) = match quote {
        Some(quote) => {
            let inner = &escaped.unwrap_or(rest)[1..];
            let value = &inner[..quoted(inner, quote, escaped.is_some())?];
            (value, is_secret(value))
        }
        None => {
            let value = &rest[..bare(rest)];
            let behind = rest[value.len()..].trim_start_matches([' ', '\t', '\r']);
            let alone = behind.is_empty() || behind.starts_with('\n');
            let telling = value.contains(|c: char| !c.is_alphabetic());
            let code = value.contains(['(', '[', '{', '<', '$']) || value.starts_with(['%', '/', '.']);
            let dotted = value.contains('.') && value.chars().all(|c| c.is_alphabetic() || "._".contains(c));
            let secret = is_secret(value) && (alone || telling) && !code && !dotted;
            (value, secret || value.len() > MOST)
        }
    };
    let end = value.as_ptr().addr() - text.as_ptr().addr() + value.len();
    secret.then_some(Hit { kind: PiiKind::Secret, start: end - value.len(), end })
}

fn spaces(text: &str) -> &str {
    let blank = text.bytes().take(4).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blank..]
}

/// The length of what stands before the closing quote on the same line.
fn quoted(text: &str, quote: char, escaped: bool) -> Option<usize> {
    let mut backslash = false;
    for (at, c) in text.char_indices() {
        match c {
            '\n' => return None,
            c if c == quote && escaped => return backslash.then(|| at - 1),
            c if c == quote && !backslash => return Some(at),
            c => backslash = c == '\\' && !backslash,
        }
    }
    None
}

/// The length of a value without quotes.
fn bare(text: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || "\"',;&)}]\\".contains(c)).unwrap_or(text.len())
}

/// Whether a value could be a secret.
pub(super) fn is_secret(value: &str) -> bool {
    let word = value.trim();
    let placeholder = PLACEHOLDERS.iter().any(|known| word.eq_ignore_ascii_case(known));
    let pattern = word.starts_with(['<', '{', '$', '%', '*', '[']) || word.to_ascii_lowercase().starts_with("your");
    let varies = word.chars().next().is_some_and(|first| word.chars().any(|c| c != first));
    // Several words without a digit are a sentence about a secret.
    let sentence = word.contains(char::is_whitespace) && !word.contains(|c: char| c.is_ascii_digit());
    word.len() >= 4 && varies && !placeholder && !pattern && !sentence
}
