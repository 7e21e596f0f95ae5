//! The Varlink wire: one JSON object, one NUL, in both directions (varlink.org, "Method Call").
//!
//! Both ends are bounded, because one of them is hostile: a message longer than [`MAX_MESSAGE`] is an error before it
//! is buffered whole, and an empty or nested-garbage message is an error of that connection alone.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest message, in bytes, NUL included.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Most descriptors beside one message.
pub const MAX_FDS: usize = 16;
/// Replies that list things are cut into pages of at most about this many bytes.
pub const PAGE: usize = 64 << 10;

/// A method call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// `interface.Method`.
    pub method: String,
    /// The method's parameters by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// The caller takes more than one reply.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// The caller wants no reply.
    #[serde(default, skip_serializing_if = "is_false")]
    pub oneway: bool,
    /// The caller wants to leave the protocol after this call; no method here grants it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub upgrade: bool,
}

/// A reply; `error` names one when the call failed, and `parameters` are then the error's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Reply {
    /// The reply's or the error's parameters by name.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// More replies follow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub continues: bool,
    /// `interface.Error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if gives a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Bytes that are no message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// More than [`MAX_MESSAGE`] bytes without a NUL.
    #[error("a message is longer than {MAX_MESSAGE} bytes")]
    TooLong,
    /// Not the JSON object that was expected.
    #[error("a message is not the expected JSON object")]
    Json(#[source] serde_json::Error),
    /// The value cannot be written as JSON, or its message would be longer than [`MAX_MESSAGE`].
    #[error("a value cannot be written as a message")]
    Encode(#[source] serde_json::Error),
}

/// Cuts a byte stream into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// How much of `buffer` is known to hold no NUL, so that no byte is searched twice.
    searched: usize,
    /// Bytes after the last NUL; counted as they come, because a peer that sends byte by byte would otherwise have a
    /// whole message searched for each.
    unfinished: usize,
}

impl Decoder {
    /// Takes bytes as they were received.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] when the message that is not yet ended passes the limit; the connection should end.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        self.buffer.extend_from_slice(bytes);
        self.unfinished = match bytes.iter().rposition(|byte| *byte == 0) {
            Some(last) => bytes.len() - last - 1,
            None => self.unfinished.saturating_add(bytes.len()),
        };
        if self.unfinished >= MAX_MESSAGE { Err(FrameError::TooLong) } else { Ok(()) }
    }

    /// The next whole message without its NUL, if there is one.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        let Some(found) = self.buffer[self.searched..].iter().position(|byte| *byte == 0) else {
            self.searched = self.buffer.len();
            return None;
        };
        let rest = self.buffer.split_off(self.searched + found + 1);
        let mut message = std::mem::replace(&mut self.buffer, rest);
        message.pop();
        self.searched = 0;
        Some(message)
    }

    /// Bytes held that make no whole message yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

/// Writes a message with its NUL.
///
/// # Errors
/// [`FrameError::Encode`] when the value has no JSON form, [`FrameError::TooLong`] when it passes the limit.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = serde_json::to_vec(message).map_err(FrameError::Encode)?;
    bytes.push(0);
    if bytes.len() > MAX_MESSAGE { Err(FrameError::TooLong) } else { Ok(bytes) }
}

/// Reads one message.
///
/// # Errors
/// [`FrameError::Json`] when the bytes are no such object.
pub fn decode<T: for<'de> Deserialize<'de>>(message: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(message).map_err(FrameError::Json)
}

/// Turns a typed value into the `parameters` of a call or reply.
///
/// # Errors
/// [`FrameError::Encode`] when the value is not a JSON object.
pub fn parameters<T: Serialize>(value: &T) -> Result<Map<String, Value>, FrameError> {
    use serde::ser::Error as _;
    match serde_json::to_value(value).map_err(FrameError::Encode)? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(FrameError::Encode(serde_json::Error::custom("parameters are not an object"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_survive_any_cutting(messages in prop::collection::vec(prop::collection::vec(1u8.., 0..50), 0..10), cut in 1usize..40) {
            let stream: Vec<u8> = messages.iter().flat_map(|m| m.iter().copied().chain([0])).collect();
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for chunk in stream.chunks(cut) {
                decoder.push(chunk).unwrap();
                while let Some(message) = decoder.next_message() { seen.push(message); }
            }
            prop_assert_eq!(seen, messages);
            prop_assert_eq!(decoder.pending(), 0);
        }

        #[test]
        fn any_bytes_are_a_call_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            // The property is that neither way panics.
            match decode::<Call>(&bytes) { Ok(_) | Err(FrameError::Json(_)) => {}, Err(other) => prop_assert!(false, "{other}") }
        }
    }

    #[test]
    fn a_message_may_be_followed_by_another_of_full_length() {
        let mut decoder = Decoder::default();
        decoder.push(&vec![b'x'; MAX_MESSAGE - 1]).unwrap();
        decoder.push(b"\0").unwrap();
        decoder.push(&vec![b'y'; MAX_MESSAGE - 1]).unwrap();
        assert!(matches!(decoder.push(b"y"), Err(FrameError::TooLong)));
        assert_eq!(decoder.next_message().map(|message| message.len()), Some(MAX_MESSAGE - 1));
    }

    #[test]
    fn an_endless_message_is_refused_before_it_is_buffered() {
        let mut decoder = Decoder::default();
        let result = (0..=MAX_MESSAGE / 4096).try_for_each(|_| decoder.push(&[b'x'; 4096]));
        assert!(matches!(result, Err(FrameError::TooLong)));
        assert!(decoder.pending() <= MAX_MESSAGE + 4096);
    }
}
