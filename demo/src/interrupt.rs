//! Ctrl-C and SIGTERM: noticed wherever the story waits, so that everything is put away on the way out.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
const POLL: Duration = Duration::from_millis(20);

/// From here on the signals only set a flag.
pub(crate) fn listen() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("failed to listen for signals")?;
    }
    Ok(())
}

/// Whether a signal asked for the end.
pub(crate) fn asked_for() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Waits until `ready` gives something, for at most `limit`; `what` is awaited, for the message.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_undisturbed(what, limit, || {
        let value = ready()?;
        if value.is_none() && asked_for() {
            bail!("interrupted while waiting for {what}");
        }
        Ok(value)
    })
}

/// The same, deaf to interruption: for putting things away.
pub(crate) fn wait_undisturbed<T>(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s for {what} in vain", limit.as_secs_f32());
        }
        thread::sleep(POLL);
    }
}

/// Lets `time` pass.
pub(crate) fn pause(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    wait_for("time to pass", time * 2, || Ok((Instant::now() >= end).then_some(())))
}
