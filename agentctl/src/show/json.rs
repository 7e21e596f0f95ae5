//! JSON for other programs, safe on a terminal too.

use super::print;
use crate::failure::Failure;
use protocol::text::escape;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use std::io::{self, Write};

/// Prints one document.
pub(crate) fn document<T: Serialize>(value: &T) -> Result<(), Failure> {
    print(&render(value, Guarded(PrettyFormatter::new()))?)
}

/// Prints one value on one line, for values that keep coming.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<(), Failure> {
    print(&render(value, Guarded(CompactFormatter))?)
}

/// JSON text as it is, but for characters that could move a cursor or reorder text: those can only stand in strings, and
/// become `\u` escapes there.
pub(crate) fn guarded(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut utf16 = [0; 2];
    for character in text.chars() {
        if character == '\\' || escape(character.encode_utf8(&mut [0; 4])).chars().eq([character]) {
            shown.push(character);
            continue;
        }
        character.encode_utf16(&mut utf16).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
    }
    shown
}

fn render<T: Serialize, F: Formatter>(value: &T, formatter: F) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value.serialize(&mut serializer).map_err(|error| Failure::Output(error.into()))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(|error| Failure::Output(io::Error::other(error)))
}

/// Writes characters that could move a cursor or reorder text as `\u` escapes: the same JSON value, and harmless where
/// JSON itself would let them through (C1 controls, bidirectional overrides).
struct Guarded<F>(F);

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*)),* $(,)?) => {
        $(fn $name<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $type)*) -> io::Result<()> {
            self.0.$name(writer $(, $argument)*)
        })*
    };
}

impl<F: Formatter> Formatter for Guarded<F> {
    forward! {
        begin_array(), end_array(), begin_array_value(first: bool), end_array_value(),
        begin_object(), end_object(), begin_object_key(first: bool), end_object_key(),
        begin_object_value(), end_object_value(),
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut utf8 = [0; 4];
        let mut utf16 = [0; 2];
        for character in fragment.chars() {
            let text: &str = character.encode_utf8(&mut utf8);
            if character == '\\' || escape(text) == text {
                writer.write_all(text.as_bytes())?;
                continue;
            }
            for unit in character.encode_utf16(&mut utf16) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_move_the_cursor_and_stays_the_same_value() {
        let value = serde_json::json!({"a": ["\u{9b}2J\u{202e}ü\\", {"b": 1}], "c": []});
        for text in [render(&value, Guarded(CompactFormatter)), render(&value, Guarded(PrettyFormatter::new()))] {
            let text = text.expect("rendered");
            assert!(text.contains("\\u009b2J\\u202eü\\\\"), "{text}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("parses"), value);
        }
        let raw = serde_json::to_string(&value).expect("rendered");
        let text = guarded(&raw);
        assert!(raw.contains('\u{9b}') && text.contains("\\u009b2J\\u202eü\\\\"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("parses"), value);
    }
}
