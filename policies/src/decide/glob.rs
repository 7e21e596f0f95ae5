//! Patterns of paths and names, compiled.
//!
//! A star remembers one place to come back to and forgets it when the next star is met, because what the earlier one
//! took can never need to change. A match therefore costs at most the product of the two lengths, whatever the pattern.

use std::path::PathBuf;

/// A part of a pattern of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Token {
    Byte(u8),
    One,
    Many,
}

/// A pattern of one name: a component of a path, an argument, a database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name(Box<[Token]>);

impl Name {
    /// Compiles `pattern`, in which a `\` makes the next character an ordinary one.
    pub(crate) fn new(pattern: &str) -> Self {
        let (mut tokens, mut bytes) = (Vec::with_capacity(pattern.len()), pattern.bytes());
        while let Some(byte) = bytes.next() {
            let token = match byte {
                b'*' if tokens.last() == Some(&Token::Many) => continue,
                b'*' => Token::Many,
                b'?' => Token::One,
                b'\\' => Token::Byte(bytes.next().unwrap_or(b'\\')),
                byte => Token::Byte(byte),
            };
            tokens.push(token);
        }
        Self(tokens.into())
    }

    /// The one name that it stands for, if it has neither `*` nor `?`.
    pub(crate) fn literal(&self) -> Option<Box<[u8]>> {
        let byte = |token: &Token| match token {
            Token::Byte(byte) => Some(*byte),
            Token::One | Token::Many => None,
        };
        self.0.iter().map(byte).collect()
    }

    /// The text that every name begins with that it matches.
    pub(crate) fn beginning(&self) -> Box<[u8]> {
        let byte = |token: &Token| match token {
            Token::Byte(byte) => Some(*byte),
            Token::One | Token::Many => None,
        };
        self.0.iter().map_while(byte).collect()
    }

    /// A name that it matches, with `filler` for `*`.
    pub(crate) fn example(&self, filler: &str) -> String {
        let mut bytes = Vec::new();
        for token in &self.0 {
            match token {
                Token::Byte(byte) => bytes.push(*byte),
                Token::One => bytes.push(b'x'),
                Token::Many => bytes.extend(filler.as_bytes()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        let mut last_star: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.0.get(token) {
                Some(Token::Byte(byte)) if text[at] == *byte => (token, at) = (token + 1, at + 1),
                Some(Token::One) => (token, at) = (token + 1, after_one(text, at)),
                Some(Token::Many) => {
                    last_star = Some((token, at));
                    token += 1;
                }
                _ => match last_star {
                    // The star takes one character more, and what follows it is tried from there.
                    Some((star, taken)) => {
                        let taken = after_one(text, taken);
                        last_star = Some((star, taken));
                        (token, at) = (star + 1, taken);
                    }
                    None => return false,
                },
            }
        }
        self.0[token..].iter().all(|token| *token == Token::Many)
    }
}

/// The place after the character at `at`: one byte and the bytes that continue it in UTF-8 (RFC 3629, section 3).
fn after_one(text: &[u8], at: usize) -> usize {
    let continued = text[at + 1..].iter().take_while(|byte| **byte & 0xc0 == 0x80).count();
    at + 1 + continued
}

/// One component of a pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Component {
    Literal(Box<[u8]>),
    Wild(Name),
    /// `**`: any number of components.
    Any,
}

/// A pattern of absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(Box<[Component]>);

impl Glob {
    /// Compiles an absolute pattern, in which a `\` makes the next character an ordinary one.
    pub(crate) fn new(pattern: &str) -> Self {
        let component = |text: &str| match (text, Name::new(text)) {
            ("**", _) => Component::Any,
            (_, name) => name.literal().map_or(Component::Wild(name), Component::Literal),
        };
        Self(pattern.split('/').filter(|text| !text.is_empty()).map(component).collect())
    }

    pub(crate) fn components(&self) -> &[Component] {
        &self.0
    }

    /// Paths that it matches: with nothing for every `**`, and with `filler`.
    pub(crate) fn examples(&self, filler: &str) -> [String; 2] {
        let path = |any: Option<&str>| {
            let component = |component: &Component| match component {
                Component::Literal(name) => Some(String::from_utf8_lossy(name).into_owned()),
                Component::Wild(name) => Some(name.example(filler)),
                Component::Any => any.map(str::to_owned),
            };
            format!("/{}", self.0.iter().filter_map(component).collect::<Vec<_>>().join("/"))
        };
        [path(None), path(Some(filler))]
    }

    /// The components before the first with a pattern character, and what is left.
    pub(crate) fn divided(&self) -> (PathBuf, &[Component]) {
        let literal = self.0.iter().map_while(|component| match component {
            // A pattern is text, so that each of its components is.
            Component::Literal(name) => std::str::from_utf8(name).ok(),
            Component::Wild(_) | Component::Any => None,
        });
        let mut path = PathBuf::from("/");
        path.extend(literal.clone());
        (path, &self.0[literal.count()..])
    }

    /// Whether the absolute, normalised `path` is meant.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let parts: Vec<&[u8]> = components(path).collect();
        let (mut component, mut at) = (0, 0);
        let mut last_any: Option<(usize, usize)> = None;
        while at < parts.len() {
            let fits = match self.0.get(component) {
                Some(Component::Any) => {
                    last_any = Some((component, at));
                    component += 1;
                    continue;
                }
                Some(Component::Literal(name)) => **name == *parts[at],
                Some(Component::Wild(name)) => name.matches(parts[at]),
                None => false,
            };
            match (fits, last_any) {
                (true, _) => (component, at) = (component + 1, at + 1),
                (false, Some((any, taken))) => {
                    last_any = Some((any, taken + 1));
                    (component, at) = (any + 1, taken + 1);
                }
                (false, None) => return false,
            }
        }
        self.0[component..].iter().all(|component| *component == Component::Any)
    }
}

/// The components of an absolute, normalised path; none of `/`.
pub(crate) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_and_borders_are_kept() {
        for (pattern, path, matches) in [
            ("/data/**", "/data/a/b", true),
            ("/data/**", "/data", true),
            ("/data/**", "/database", false),
            ("/data/*", "/data/a", true),
            ("/data/*", "/data/a/b", false),
            ("/data/*", "/data", false),
            ("/data", "/data/a", false),
            ("/**/x/**/y", "/x/y", true),
            ("/**/x/**/y", "/a/x/b/x/c/y", true),
            ("/**/x/**/y", "/a/x/b/y/c", false),
            ("/a/?.py", "/a/ä.py", true),
            ("/a/?.py", "/a/.py", false),
            ("/a/*.*", "/a/x.y.z", true),
            ("/a/.*", "/a/.git", true),
            ("/a/\\*", "/a/*", true),
            ("/a/\\*", "/a/b", false),
            ("/", "/", true),
            ("/**", "/", true),
            ("/", "/a", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(path.as_bytes()), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let pattern = format!("/{}b", "a*".repeat(2000));
        let path = format!("/{}", "a".repeat(4000));
        let start = std::time::Instant::now();
        assert!(!Glob::new(&pattern).matches(path.as_bytes()));
        assert!(!Glob::new(&format!("{}/b", "/**/a".repeat(500))).matches("/a".repeat(2000).as_bytes()));
        assert!(start.elapsed().as_secs() < 5, "took {:?}", start.elapsed());
    }
}
