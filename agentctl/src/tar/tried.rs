//! What holds for any bytes; called by libFuzzer (`crate::fuzzing`) and by the tests.

use super::{Entry, Kind, Reader, Writer};
use std::io::Read as _;

/// However many bytes: reading comes to an end, what is given has a meaning of ours, and writing it down again gives the
/// same entries, which then always give the same bytes.
pub(crate) fn hostile(bytes: &[u8]) {
    let (entries, _) = read(bytes);
    for (entry, content) in &entries {
        assert!(entry.mode <= 0o7777 && entry.mtime.nanoseconds < 1_000_000_000, "{entry:?}");
        let bare = !matches!(entry.kind, Kind::File { .. } | Kind::Directory);
        assert!(!bare || entry.attributes.is_empty(), "{entry:?}");
        assert!(
            u64::try_from(content.len())
                .is_ok_and(|len| matches!(entry.kind, Kind::File { size } if size >= len) || len == 0)
        );
    }
    // What the kernel has as names never has these: import refuses them, so export never meets them.
    let possible = |bytes: &[u8]| !bytes.contains(&0) && !bytes.ends_with(b"/");
    let entries: Vec<_> = entries
        .into_iter()
        .filter(|(entry, content)| {
            let whole = !matches!(entry.kind, Kind::File { size } if usize::try_from(size) != Ok(content.len()));
            let link = match &entry.kind {
                Kind::Symlink { target } => target,
                Kind::HardLink { to } => to,
                _ => &Vec::new(),
            };
            whole && !entry.path.is_empty() && possible(&entry.path) && !link.contains(&0)
        })
        .collect();
    let once = write(&entries);
    let (again, end) = read(&once);
    assert!(end.is_none(), "{end:?}");
    assert_eq!(again, entries);
    assert_eq!(write(&again), once);
}

/// An entry and its content.
type Whole = (Entry, Vec<u8>);

/// The entries up to the end, or to what is wrong.
pub(super) fn read(bytes: &[u8]) -> (Vec<Whole>, Option<super::ReadError>) {
    let mut reader = Reader::new(bytes);
    let mut entries = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(entry)) => {
                let mut content = Vec::new();
                // A content that ends early is found by the next step.
                if reader.read_to_end(&mut content).is_err() {
                    content.clear();
                }
                entries.push((entry, content));
            }
            Ok(None) => return (entries, None),
            Err(error) => return (entries, Some(error)),
        }
    }
}

/// The archive of these entries.
pub(super) fn write(entries: &[Whole]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in entries {
        match writer.add(entry, &mut content.as_slice()) {
            Ok(missing) => assert_eq!(missing, 0),
            Err(error) => panic!("{error}"),
        }
    }
    writer.finish().unwrap_or_else(|error| panic!("{error}"))
}
