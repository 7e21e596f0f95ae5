//! Words of people that become types: names, signals, amounts.

use policies::{Cores, EnvName, Hostname, ProfileName, Size, TimeSpan};
use protocol::ids::AgentName;
use protocol::signal::Signal;
use protocol::text::escape;
use std::fmt::{Debug, Display};
use std::str::FromStr;

/// Whatever is accepted is shown in a way that reads back as the same.
pub fn words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    reads_back::<Size>(text);
    reads_back::<TimeSpan>(text);
    reads_back::<Cores>(text);
    reads_back::<ProfileName>(text);
    reads_back::<Hostname>(text);
    reads_back::<EnvName>(text);
    if let Ok(signal) = Signal::parse(text) {
        assert_eq!(Signal::parse(&signal.to_string()), Ok(signal));
    }
    if let Ok(name) = AgentName::parse(text) {
        assert!(name.as_str() == text && !text.contains(['/', '\0']) && !text.starts_with('.'), "{text:?}");
    }
    let escaped = escape(text);
    assert!(!escaped.chars().any(char::is_control), "{escaped:?}");
    assert_eq!(unescaped(&escaped).as_deref(), Some(text), "{escaped:?}");
}

fn reads_back<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse().ok(), Some(value), "{text:?}");
    }
}

/// The text of which [`escape`] made this; `None` when it made it of none.
fn unescaped(mut escaped: &str) -> Option<String> {
    let mut text = String::new();
    while let Some((plain, rest)) = escaped.split_once('\\') {
        text.push_str(plain);
        if let Some(rest) = rest.strip_prefix('\\') {
            text.push('\\');
            escaped = rest;
        } else {
            let (code, rest) = rest.strip_prefix("u{")?.split_once('}')?;
            text.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
            escaped = rest;
        }
    }
    Some(text + escaped)
}
