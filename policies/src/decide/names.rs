//! Many patterns of names at once, found by the text before their first `*` or `?`.

use std::collections::HashMap;

use crate::decide::glob::Name;

/// Patterns, each with what it stands for.
///
/// A name is looked up once for every length that such a text has; only patterns that begin like the name are compared
/// with it. Patterns that begin with `*` or `?` are all compared.
#[derive(Clone, Debug)]
pub(crate) struct Names<T> {
    beginnings: HashMap<Box<[u8]>, Vec<(Name, T)>>,
    /// The lengths of the beginnings, each once.
    lengths: Vec<usize>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { beginnings: HashMap::new(), lengths: Vec::new() }
    }
}

impl<T> Names<T> {
    pub(crate) fn insert(&mut self, name: Name, value: T) {
        let beginning = name.beginning();
        if !self.lengths.contains(&beginning.len()) {
            self.lengths.push(beginning.len());
        }
        self.beginnings.entry(beginning).or_default().push((name, value));
    }

    /// What this very pattern stands for, if it is there.
    pub(crate) fn get(&self, name: &Name) -> Option<&T> {
        let same = self.beginnings.get(&name.beginning())?;
        same.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// What the patterns stand for that match `text`.
    pub(crate) fn matching(&self, text: &[u8]) -> impl Iterator<Item = &T> {
        let beginnings = self.lengths.iter().filter_map(|length| self.beginnings.get(text.get(..*length)?));
        beginnings.flatten().filter(|(name, _)| name.matches(text)).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_what_matches() {
        let patterns = ["*", "a*", "ab*", "ab?", "*b", "?b", "b*a", "ab*c*", "a\\**"];
        let mut names = Names::default();
        for pattern in patterns {
            names.insert(Name::new(pattern), pattern);
        }
        for text in ["", "a", "ab", "abc", "abxc", "b", "ba", "bba", "a*", "a*b", "ä"] {
            let mut found: Vec<&str> = names.matching(text.as_bytes()).copied().collect();
            found.sort_by_key(|pattern| patterns.iter().position(|known| known == pattern));
            let expected: Vec<&str> =
                patterns.into_iter().filter(|pattern| Name::new(pattern).matches(text.as_bytes())).collect();
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(names.get(&Name::new("ab?")), Some(&"ab?"));
        assert_eq!(names.get(&Name::new("abc?")), None);
    }
}
