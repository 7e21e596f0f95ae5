//! The file of an agent that starts with the daemon.

use crate::services::AgentFile;
use std::time::Duration;

/// A refusal says something; what is accepted can be started, and waits and bounds are what they say.
pub fn service(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = match AgentFile::parse(text) {
        Ok(file) => file,
        Err(why) => return assert!(!why.is_empty(), "{text:?}"),
    };
    let starts = |command: &[String]| {
        command.first().is_some_and(|program| !program.is_empty()) && !command.iter().any(|word| word.contains('\0'))
    };
    assert!(starts(&file.command), "{text:?}");
    assert!(file.env.iter().all(|(name, value)| !name.is_empty() && !name.contains('=') && !value.contains('\0')));
    assert!(file.max_restarts > 0 && file.restart_window > Duration::ZERO, "{text:?}");
    assert!(Duration::ZERO < file.backoff.first && file.backoff.first <= file.backoff.most, "{text:?}");
    assert!(file.timeout.is_none_or(|timeout| timeout > Duration::ZERO), "{text:?}");
    if let Some(health) = &file.health {
        assert!(starts(&health.command) && health.retries > 0, "{text:?}");
        assert!(health.interval > Duration::ZERO && health.timeout > Duration::ZERO, "{text:?}");
    }
}
