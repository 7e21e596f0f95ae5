//! An agent's output for `logs`: its bytes as they are, or made safe for a terminal; with a time before each line.

use super::time;
use protocol::ids::TimeUs;
use protocol::text::escape;

/// Turns the pieces of one stream into what is written.
#[derive(Debug)]
pub(crate) struct Painter {
    /// Controls are shown, not obeyed.
    safe: bool,
    /// Each line begins with the time of its first byte.
    timestamps: bool,
    at_line_start: bool,
    /// Bytes that are held back because the next piece decides what they are: a begun UTF-8 character, or a CR.
    held: Vec<u8>,
}

impl Painter {
    /// For one stream.
    pub(crate) fn new(safe: bool, timestamps: bool) -> Self {
        Self { safe, timestamps, at_line_start: true, held: Vec::new() }
    }

    /// What to write for a piece of output.
    pub(crate) fn paint(&mut self, time: TimeUs, data: &[u8]) -> Vec<u8> {
        if !self.safe && !self.timestamps {
            return data.to_vec();
        }
        let bytes = if self.safe { self.made_safe(data, false) } else { data.to_vec() };
        self.stamped(time, &bytes)
    }

    /// What to write when nothing more comes.
    pub(crate) fn finish(&mut self, time: TimeUs) -> Vec<u8> {
        let bytes = if self.safe { self.made_safe(&[], true) } else { Vec::new() };
        self.stamped(time, &bytes)
    }

    fn stamped(&mut self, time: TimeUs, bytes: &[u8]) -> Vec<u8> {
        if !self.timestamps {
            return bytes.to_vec();
        }
        let mut out = Vec::with_capacity(bytes.len() + 64);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.at_line_start {
                out.extend_from_slice(time::utc(time).as_bytes());
                out.push(b' ');
            }
            out.extend_from_slice(line);
            self.at_line_start = line.ends_with(b"\n");
        }
        out
    }

    fn made_safe(&mut self, data: &[u8], last: bool) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(data);
        if !last {
            self.held = bytes.split_off(bytes.len() - undecided(&bytes));
        }
        let mut out = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            // A terminal's output ends its lines with CR LF; every other CR could overwrite a line.
            for part in chunk.valid().replace("\r\n", "\n").split_inclusive(['\n', '\t']) {
                let text = part.trim_end_matches(['\n', '\t']);
                out.push_str(&escape(text));
                out.push_str(&part[text.len()..]);
            }
            for byte in chunk.invalid() {
                out.push_str(&format!("\\x{byte:02x}"));
            }
        }
        out.into_bytes()
    }
}

/// How many bytes at the end cannot be judged yet.
fn undecided(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    match bytes.utf8_chunks().last() {
        // A begun character, as against bytes that no character begins with: at most three can be missing their end.
        Some(chunk) if chunk.invalid().len() < 4 => match std::str::from_utf8(chunk.invalid()) {
            Err(error) if error.error_len().is_none() => chunk.invalid().len(),
            _ => 0,
        },
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn painted(pieces: &[&[u8]], timestamps: bool) -> String {
        let mut painter = Painter::new(true, timestamps);
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| painter.paint(TimeUs(0), piece)).collect();
        out.extend(painter.finish(TimeUs(0)));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn controls_are_shown_and_lines_stay_lines() {
        assert_eq!(painted(&[b"a\x1b[2J\r\nb\tc\rd\n"], false), "a\\u{1b}[2J\nb\tc\\u{d}d\n");
    }

    #[test]
    fn characters_and_line_ends_may_be_cut() {
        assert_eq!(painted(&[b"\xc3", b"\xbc\r", b"\n", b"\xe2\x82"], false), "\u{fc}\n\\xe2\\x82");
        assert_eq!(painted(&[b"\xff\xfe", b"x"], false), "\\xff\\xfex");
    }

    #[test]
    fn each_line_has_one_time() {
        let expected = "1970-01-01T00:00:00.000Z ab\n1970-01-01T00:00:00.000Z c";
        assert_eq!(painted(&[b"a", b"b\nc"], true), expected);
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(data in prop::collection::vec(any::<u8>(), 0..80), cut in 1usize..9) {
            let pieces: Vec<&[u8]> = data.chunks(cut).collect();
            prop_assert_eq!(painted(&pieces, false), painted(&[&data], false));
        }

        #[test]
        fn no_control_but_newline_and_tab_comes_through(data in prop::collection::vec(any::<u8>(), 0..80)) {
            let text = painted(&[&data], false);
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }
    }
}
