//! `memory ls`: a row a name, or a row a file.

use super::table::{self, Tone, cell, plain};
use super::{Look, amount, time};
use comfy_table::Cell;
use protocol::bytes::Bytes;
use protocol::ids::TimeUs;
use protocol::memory::{Memory, Part};
use protocol::text::escape_bytes;
use rustix::fs::{FileType, Stat};
use serde::Serialize;

const NAMES: [&str; 10] =
    ["NAME", "OWNER", "AGENT", "WORKING", "EPISODIC", "SEMANTIC", "PROCEDURAL", "STATE", "FILES", "LAST USE"];

/// What one part holds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Held {
    pub(crate) part: Part,
    pub(crate) bytes: u64,
    pub(crate) inodes: u64,
}

/// A name, and what it remembers by part.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) memory: Memory,
    pub(crate) held: Vec<Held>,
}

/// The table of names.
pub(crate) fn names(rows: &[Row], now: TimeUs, look: Look) -> String {
    let row = |row: &Row| {
        let Memory { name, owner, running, used_us } = &row.memory;
        let files: u64 = row.held.iter().map(|held| held.inodes).sum();
        let used = match used_us {
            _ if *running => "now".to_owned(),
            Some(time) => format!("{} ago", time::age(*time, now)),
            None => "unknown".to_owned(),
        };
        let agent = if *running { cell("runs", Tone::Good) } else { cell("none", Tone::Faint) };
        let mut cells = vec![plain(name.as_str()), plain(owner.to_string()), agent];
        cells.extend(Part::ALL.map(|part| bytes_of(&row.held, part)));
        cells.extend([plain(files.to_string()), plain(used)]);
        cells
    };
    table::render(&NAMES, rows.iter().map(row).collect(), look)
}

/// The table of a name's parts.
pub(crate) fn parts(held: &[Held], look: Look) -> String {
    let row = |held: &Held| {
        let kept = if held.part == Part::Working { "until the agent ends" } else { "under its name" };
        let (size, files) = (amount::bytes(held.bytes), held.inodes.to_string());
        vec![plain(format!("/{}", held.part.path())), plain(size), plain(files), cell(kept, Tone::Faint)]
    };
    table::render(&["PART", "SIZE", "FILES", "KEPT"], held.iter().map(row).collect(), look)
}

fn bytes_of(held: &[Held], part: Part) -> Cell {
    match held.iter().find(|held| held.part == part) {
        Some(held) => plain(amount::bytes(held.bytes)),
        None => cell("-", Tone::Faint),
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct File {
    /// What is not UTF-8 is replaced.
    name: String,
    /// The bytes, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_bytes: Option<Bytes>,
    kind: &'static str,
    mode: u32,
    links: u64,
    size: u64,
    /// In seconds since 1970.
    mtime: i64,
    mtime_ns: u32,
    /// Where a symbolic link points; what is not UTF-8 is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// For people.
    #[serde(skip)]
    shown: String,
}

impl File {
    /// Of what stat(2) said, and readlink(2).
    pub(crate) fn new(name: &[u8], stat: &Stat, target: Option<Vec<u8>>) -> Self {
        let text = String::from_utf8_lossy(name).into_owned();
        let arrow = target.as_deref().map(|target| format!(" -> {}", escape_bytes(target))).unwrap_or_default();
        Self {
            name_bytes: (text.as_bytes() != name).then(|| Bytes(name.to_vec())),
            name: text,
            kind: word(FileType::from_raw_mode(stat.st_mode)).1,
            mode: stat.st_mode & 0o7777,
            links: stat.st_nlink,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: stat.st_mtime,
            mtime_ns: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            target: target.as_deref().map(|target| String::from_utf8_lossy(target).into_owned()),
            shown: format!("{}{arrow}", escape_bytes(name)),
        }
    }

    /// `drwxr-x---`, as ls(1) has it.
    fn permissions(&self) -> String {
        let letter = [FileType::Directory, FileType::Symlink, FileType::Fifo, FileType::Socket, FileType::RegularFile]
            .into_iter()
            .map(word)
            .find(|(_, kind)| *kind == self.kind)
            .map_or('?', |(letter, _)| letter);
        let mut text = String::from(letter);
        for (shift, special, set) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
            let bits = self.mode >> shift;
            text.push(if bits & 4 != 0 { 'r' } else { '-' });
            text.push(if bits & 2 != 0 { 'w' } else { '-' });
            text.push(match (self.mode & special != 0, bits & 1 != 0) {
                (true, true) => set,
                (true, false) => set.to_ascii_uppercase(),
                (false, true) => 'x',
                (false, false) => '-',
            });
        }
        text
    }

    fn time(&self) -> String {
        let micros = u64::try_from(self.mtime).unwrap_or(0).saturating_mul(1_000_000);
        time::utc(TimeUs(micros.saturating_add(u64::from(self.mtime_ns / 1_000))))
    }
}

fn word(kind: FileType) -> (char, &'static str) {
    match kind {
        FileType::RegularFile => ('-', "file"),
        FileType::Directory => ('d', "directory"),
        FileType::Symlink => ('l', "symlink"),
        FileType::Fifo => ('p', "fifo"),
        FileType::Socket => ('s', "socket"),
        _ => ('?', "other"),
    }
}

/// Rows as `ls -l` has them, whole on any terminal: names are long.
pub(crate) fn files(files: &[File], look: Look) -> String {
    let width = files.iter().map(|file| file.size.to_string().len()).max().unwrap_or(0);
    let links = files.iter().map(|file| file.links.to_string().len()).max().unwrap_or(0);
    let mut text = String::new();
    for file in files {
        let name = match (look.colour, file.kind) {
            (true, "directory") => format!("\x1b[34m{}\x1b[0m", file.shown),
            _ => file.shown.clone(),
        };
        let (permissions, time) = (file.permissions(), file.time());
        text.push_str(&format!("{permissions} {:links$} {:width$} {time} {name}\n", file.links, file.size));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &[u8], mode: u32, target: Option<&[u8]>) -> File {
        let directory = tempfile::tempdir().expect("a directory");
        let mut stat = rustix::fs::stat(directory.path()).expect("a directory");
        (stat.st_mode, stat.st_size, stat.st_nlink, stat.st_mtime, stat.st_mtime_nsec) = (mode, 5, 1, 1, 2_000_000);
        File::new(name, &stat, target.map(<[u8]>::to_vec))
    }

    #[test]
    fn a_name_cannot_move_the_cursor_nor_forge_a_line() {
        let look = Look { colour: false, width: None };
        let listed =
            files(&[file(b"a\x1b[2J\n\xff", 0o100_640, None), file(b"l", 0o120_777, Some(b"../\r/etc"))], look);
        assert_eq!(
            listed,
            "-rw-r----- 1 5 1970-01-01T00:00:01.002Z a\\u{1b}[2J\\u{a}\\xff\n\
             lrwxrwxrwx 1 5 1970-01-01T00:00:01.002Z l -> ../\\u{d}/etc\n"
        );
    }

    #[test]
    fn a_name_that_is_not_text_is_whole_in_json() {
        let json = serde_json::to_value(file(b"\xff", 0o040_755, None)).expect("plain data");
        assert_eq!(
            (&json["name_bytes"], &json["kind"], &json["mode"]),
            (&"/w==".into(), &"directory".into(), &0o755.into())
        );
        assert!(serde_json::to_value(file(b"x", 0o100_644, None)).expect("plain data").get("name_bytes").is_none());
    }

    #[test]
    fn each_part_says_how_much_it_holds_and_how_long() {
        let held =
            [Held { part: Part::Working, bytes: 0, inodes: 0 }, Held { part: Part::State, bytes: 8192, inodes: 2 }];
        let expected = "\
PART          SIZE     FILES  KEPT
/mem/working  0 B      0      until the agent ends
/state        8.0 KiB  2      under its name
";
        assert_eq!(parts(&held, Look { colour: false, width: None }), expected);
    }

    #[test]
    fn permissions_are_those_of_ls() {
        let of = |mode| file(b"x", mode, None).permissions();
        assert_eq!([of(0o104_755), of(0o041_776), of(0o010_000)], ["-rwsr-xr-x", "drwxrwxrwT", "p---------"]);
    }
}
