//! The keys that leave an agent running, found in what the caller types.

use std::str::FromStr;

/// Longest sequence; a longer one would be a password, not a key.
const MAX_KEYS: usize = 8;

/// A sequence of keys; empty when detaching is switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

impl FromStr for DetachKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text == "none" {
            return Ok(Self(Vec::new()));
        }
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        match keys {
            Some(keys) if keys.len() <= MAX_KEYS => Ok(Self(keys)),
            _ => Err(format!(
                "expected at most {MAX_KEYS} keys such as ctrl-p,ctrl-q: each a letter, a digit, or ctrl- with one of a-z @ [ \\ ] ^ _"
            )),
        }
    }
}

fn key(text: &str) -> Option<u8> {
    let byte = |text: &str| match text.as_bytes() {
        [byte] => Some(*byte),
        _ => None,
    };
    match text.strip_prefix("ctrl-").or_else(|| text.strip_prefix('^').filter(|rest| !rest.is_empty())) {
        Some(rest) => {
            byte(rest).map(|b| b.to_ascii_uppercase()).filter(|b| (b'@'..=b'_').contains(b)).map(|b| b & 0x1f)
        }
        None => byte(text).filter(u8::is_ascii_alphanumeric),
    }
}

/// Looks for the keys in a stream of typed bytes.
pub(crate) struct Watch {
    keys: Vec<u8>,
    /// Bytes that begin the sequence and are held back until the next byte decides.
    held: Vec<u8>,
}

impl Watch {
    /// Watches for `keys`.
    pub(crate) fn new(keys: DetachKeys) -> Self {
        Self { keys: keys.0, held: Vec::new() }
    }

    /// Takes typed bytes out of `bytes` and leaves those that are for the agent. True when the keys were typed;
    /// what was typed after them is dropped.
    pub(crate) fn filter(&mut self, bytes: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            return false;
        }
        let mut passed = Vec::with_capacity(bytes.len() + self.held.len());
        let mut found = false;
        for byte in bytes.iter() {
            self.held.push(*byte);
            while !self.keys.starts_with(&self.held) {
                passed.push(self.held.remove(0));
            }
            if self.held.len() == self.keys.len() {
                found = true;
                break;
            }
        }
        *bytes = passed;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<DetachKeys, String> {
        text.parse()
    }

    fn watch(text: &str) -> Watch {
        Watch::new(parse(text).expect("keys"))
    }

    #[test]
    fn keys_are_read() {
        assert_eq!(parse("ctrl-p,ctrl-q"), Ok(DetachKeys(vec![0x10, 0x11])));
        assert_eq!(parse("^],q"), Ok(DetachKeys(vec![0x1d, b'q'])));
        assert_eq!(parse("ctrl-@,ctrl-_"), Ok(DetachKeys(vec![0, 0x1f])));
        assert_eq!(parse("none"), Ok(DetachKeys(vec![])));
        for bad in ["ctrl-", "ctrl-1", "ab", "a,,b", "é", "ctrl-pp", "a,b,c,d,e,f,g,h,i", "^"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_found_across_reads_and_do_not_reach_the_agent() {
        let mut watch = watch("ctrl-p,ctrl-q");
        let mut first = b"ls\x10".to_vec();
        assert!(!watch.filter(&mut first));
        assert_eq!(first, b"ls");
        let mut second = b"\x11rest".to_vec();
        assert!(watch.filter(&mut second));
        assert_eq!(second, b"");
    }

    #[test]
    fn a_sequence_that_was_only_begun_reaches_the_agent() {
        let mut watch = watch("ctrl-p,ctrl-q");
        let mut typed = b"\x10\x10x".to_vec();
        assert!(!watch.filter(&mut typed));
        assert_eq!(typed, b"\x10\x10x");
        let mut overlapping = b"\x10\x10\x11".to_vec();
        assert!(watch.filter(&mut overlapping));
        assert_eq!(overlapping, b"\x10");
    }

    proptest! {
        #[test]
        fn without_the_keys_nothing_is_lost(typed in prop::collection::vec(prop::sample::select(vec![b'a', b'b', b'c']), 0..60), cut in 1usize..7) {
            let mut watch = watch("a,b,a,b,b");
            let mut through = Vec::new();
            let mut found = false;
            for chunk in typed.chunks(cut) {
                let mut chunk = chunk.to_vec();
                found = watch.filter(&mut chunk);
                through.extend_from_slice(&chunk);
                if found { break; }
            }
            let at = typed.windows(5).position(|window| window == b"ababb");
            prop_assert_eq!(found, at.is_some());
            match at {
                Some(at) => prop_assert_eq!(through, &typed[..at]),
                None => {
                    through.extend_from_slice(&watch.held);
                    prop_assert_eq!(through, typed);
                }
            }
        }
    }
}
