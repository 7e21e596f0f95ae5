//! Patterns of paths and of names, as they are written. [`crate::decide`] compiles them.

use std::fmt;
use std::str::FromStr;

use crate::scalar::{ScalarError, Word, deserialize_as_word, plain_text};
use crate::template::Template;

/// The longest pattern in bytes: as long as a path can be (PATH_MAX, limits.h).
const LONGEST: usize = 4096;
/// What other tools give a meaning in patterns and this language does not.
const FOREIGN: [char; 5] = ['[', ']', '{', '}', '\\'];

/// A pattern of absolute paths, such as `/data/**` or `${workspace}/*.md`.
///
/// `?` is one character and `*` any number of characters of one component; the component `**` is any number of
/// components, also none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern(Template);

impl PathPattern {
    pub(crate) fn template(&self) -> &Template {
        &self.0
    }
}

impl Word for PathPattern {
    const EXPECTED: &'static str = "a pattern of paths, such as \"/data/**\"";
}

impl FromStr for PathPattern {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let refuse = |why: &str| Err(ScalarError::new(format!("the pattern `{text}` {why}")));
        plain_text("the pattern", text)?;
        if text.len() > LONGEST {
            return refuse("is longer than a path can be");
        }
        if text.split('/').any(|part| part == "." || part == "..") {
            return refuse("contains `.` or `..`: write the path that it leads to");
        }
        if text.split('/').any(|part| part.contains("**") && part != "**") {
            return refuse("has a `**` that is not a whole component: write `/**/`, or one `*`");
        }
        let root = if text.starts_with('/') { "/" } else { "" };
        let mut parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        // Twice any number of components is any number of components.
        parts.dedup_by(|next, part| *next == "**" && *part == "**");
        let template: Template = format!("{root}{}", parts.join("/")).parse()?;
        if template.texts().any(|text| text.contains(FOREIGN)) {
            return refuse("contains one of `[]{}\\`, which mean nothing here: write `?` for such a character");
        }
        match template.not_a_path() {
            Some(why) => refuse(why),
            None => Ok(Self(template)),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A pattern of names or words: `?` is one character, `*` any number of any characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern(String);

impl NamePattern {
    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Word for NamePattern {
    const EXPECTED: &'static str = "a name, or a pattern of names such as \"sales_*\"";
}

impl FromStr for NamePattern {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        if text.len() > LONGEST {
            return Err(ScalarError::new(format!("the pattern `{text}` is longer than {LONGEST} bytes")));
        }
        if text.contains(FOREIGN) {
            let why = "contains one of `[]{}\\`, which mean nothing here: write `?` for such a character";
            return Err(ScalarError::new(format!("the pattern `{text}` {why}")));
        }
        plain_text("the pattern", text).map(Self)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

deserialize_as_word!(PathPattern, NamePattern);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_canonical() {
        for (text, canonical) in [
            ("/data/**", "/data/**"),
            ("//data//*.csv/", "/data/*.csv"),
            ("/**/**/x", "/**/x"),
            ("${workspace}/**", "${workspace}/**"),
            ("/srv/${name}/?", "/srv/${name}/?"),
            ("/", "/"),
        ] {
            let pattern = text.parse::<PathPattern>().map(|pattern| pattern.to_string());
            assert_eq!(pattern, Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn patterns_that_could_be_taken_for_something_else_are_refused() {
        for text in [
            "",
            "data/**",
            "*",
            "**",
            "/a/../b",
            "/a**",
            "/a/**b",
            "/a/[bc]",
            "/a/{b,c}",
            "/a\\*",
            "/a\0",
            "/a\u{202e}",
            "/x/${workspace}",
            "${workspace}x",
            "${nope}/x",
            "~/x",
        ] {
            assert!(text.parse::<PathPattern>().is_err(), "{text:?} was taken");
        }
    }
}
