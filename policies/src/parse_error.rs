//! What the author of a policy reads when it is refused: the place, the line with a caret, what was expected.

use std::fmt;

use serde_saphyr::{Error as YamlError, MessageFormatter, UserMessageFormatter};

use crate::nearest::nearest;

/// A policy was refused. `Display` gives the whole story over several lines.
///
/// ```text
/// coder.yaml:2:1: unknown key `filesytem`; did you mean `filesystem`?
///   |
/// 2 | filesytem: []
///   | ^
/// expected one of: extends, process, filesystem, …
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The name of the file or profile, as the caller gave it.
    pub origin: String,
    /// The line, counted from 1.
    pub line: u64,
    /// The column in characters, counted from 1.
    pub column: u64,
    /// What is wrong, in one line.
    pub message: String,
    /// What would have been right, if there is a list of it.
    pub expected: Option<String>,
    /// The text of the line, cropped and without control characters; empty if the file has no such line.
    excerpt: String,
    caret: usize,
}

impl std::error::Error for ParseError {}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.origin, self.line, self.column, self.message)?;
        if !self.excerpt.is_empty() {
            let number = self.line.to_string();
            let (margin, indent) = (" ".repeat(number.len()), " ".repeat(self.caret));
            write!(f, "\n{margin} |\n{number} | {}\n{margin} | {indent}^", self.excerpt)?;
        }
        if let Some(expected) = &self.expected {
            write!(f, "\nexpected {expected}")?;
        }
        Ok(())
    }
}

/// How many characters of a line are shown around the place.
const WINDOW: usize = 100;

/// One file while it is read: its name and its text.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) origin: &'a str,
    pub(crate) text: &'a str,
}

impl Place<'_> {
    /// An error at a line and column of this file.
    pub(crate) fn error(self, (line, column): (u64, u64), message: impl Into<String>) -> ParseError {
        let (line, column) = (line.max(1), column.max(1));
        let text = usize::try_from(line - 1).ok().and_then(|index| self.text.lines().nth(index)).unwrap_or("");
        let caret = usize::try_from(column - 1).unwrap_or(usize::MAX).min(text.chars().count());
        let skipped = caret.saturating_sub(WINDOW / 2);
        let shown = text.chars().skip(skipped).take(WINDOW).map(|c| if unprintable(c) { ' ' } else { c });
        ParseError {
            origin: printable(self.origin),
            line,
            column,
            message: printable(&message.into()),
            expected: None,
            excerpt: shown.collect::<String>().trim_end().to_owned(),
            caret: caret - skipped,
        }
    }

    /// The YAML reader's error in the language's words.
    pub(crate) fn yaml_error(self, error: &YamlError) -> ParseError {
        let place = error.location().map_or((1, 1), |location| (location.line(), location.column()));
        let (message, expected) = words(innermost(error));
        ParseError { expected, ..self.error(place, message) }
    }
}

pub(crate) fn innermost(mut error: &YamlError) -> &YamlError {
    while let YamlError::AliasError { error: inner, .. } | YamlError::WithSnippet { error: inner, .. } = error {
        error = inner;
    }
    error
}

/// What is wrong, and the list of what would have been right.
fn words(error: &YamlError) -> (String, Option<String>) {
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`{}", did_you_mean(field, expected)), one_of(expected))
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown word `{variant}`{}", did_you_mean(variant, expected)), one_of(expected))
        }
        YamlError::SerdeMissingField { field, .. } => (format!("the key `{field}` is missing"), None),
        YamlError::SerdeInvalidType { unexpected, expected, .. } => {
            (format!("wrong type: {unexpected}"), Some(expected.clone()))
        }
        YamlError::SerdeInvalidValue { unexpected, expected, .. } => {
            (format!("wrong value: {unexpected}"), Some(expected.clone()))
        }
        YamlError::Unexpected { expected, .. } => ("wrong type".to_owned(), Some(kind(expected).to_owned())),
        YamlError::DuplicateMappingKey { key, .. } => {
            let name = key.as_ref().map(|key| format!(" `{key}`")).unwrap_or_default();
            (format!("the key{name} stands here a second time; keep one of the two"), None)
        }
        YamlError::MergeKeyNotAllowed { .. } => {
            ("merge keys (`<<`) are not part of the policy language; use `extends`".to_owned(), None)
        }
        YamlError::UnsupportedTag { tag, .. } => {
            (format!("the tag `{tag}` is not part of the policy language; remove it"), None)
        }
        YamlError::NullIntoString { .. } => ("a value is missing here".to_owned(), None),
        YamlError::MultipleDocuments { .. } => {
            ("a policy is one YAML document; a second one starts here".to_owned(), None)
        }
        YamlError::Budget { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => (
            "the file is larger, deeper or repeats more by aliases than a policy may; write it out or split it"
                .to_owned(),
            None,
        ),
        other => (UserMessageFormatter.format_message(other).into_owned(), None),
    }
}

/// The reader's names for kinds of YAML in the author's words.
fn kind(expected: &'static str) -> &'static str {
    match expected {
        "sequence start" => "a list: [one, two], or one `- entry` a line",
        "mapping start" => "keys with values: {key: value}, or one `key: value` a line",
        "string scalar" => "one word or quoted text",
        other => other,
    }
}

fn did_you_mean(word: &str, known: &[&'static str]) -> String {
    nearest(word, known.iter().copied()).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

fn one_of(known: &[&'static str]) -> Option<String> {
    (!known.is_empty()).then(|| format!("one of: {}", known.join(", ")))
}

/// A control or direction character would let a hostile file draw on the operator's terminal.
pub(crate) fn unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` on one line, its unprintable characters escaped, and no longer than a line should be.
pub(crate) fn printable(text: &str) -> String {
    const MOST: usize = 400;
    let mut shown = String::new();
    for (position, c) in text.chars().enumerate() {
        if position == MOST {
            shown.push('…');
            break;
        }
        match unprintable(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    shown
}
