//! Comparing paths that are absolute and normalised, as all paths of a bound policy are.
//!
//! `Path` compares component by component, which is right for any path and some twenty times slower; a policy of forty
//! rules compares each with each at every launch.

use std::path::Path;

/// Whether `path` is `top` or lies beneath it.
pub(crate) fn at_or_beneath(path: &Path, top: &Path) -> bool {
    let (path, top) = (path.as_os_str().as_encoded_bytes(), top.as_os_str().as_encoded_bytes());
    match path.strip_prefix(top) {
        Some(rest) => rest.is_empty() || rest.first() == Some(&b'/') || top == b"/",
        None => false,
    }
}

/// Whether `path` lies beneath `top`.
pub(crate) fn beneath(path: &Path, top: &Path) -> bool {
    path.as_os_str().len() > top.as_os_str().len() && at_or_beneath(path, top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_those_of_components() {
        for (path, top) in
            [("/a/b", "/a"), ("/a", "/a"), ("/a", "/"), ("/", "/"), ("/ab", "/a"), ("/a", "/a/b"), ("/", "/a")]
        {
            let (path, top) = (Path::new(path), Path::new(top));
            assert_eq!(at_or_beneath(path, top), path.starts_with(top), "{path:?} {top:?}");
            assert_eq!(beneath(path, top), path.starts_with(top) && path != top, "{path:?} {top:?}");
        }
    }
}
