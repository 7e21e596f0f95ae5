//! When spares are to show the host's mounts anew.

use crate::journal;
use sandbox::mounts::{Generation, Watch};
use sandbox::plan::Template;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// From a change until the spares are looked after, while nothing is asked of them: a host that mounts all the time must
/// not keep them busy.
const PAUSE: Duration = Duration::from_secs(1);

/// The host's mounts.
#[derive(Debug)]
pub(super) struct Mounts {
    watch: Watch,
    /// Wakes the keeper. Not the watch's own: what the kernel says of a change it says once to each.
    table: AsyncFd<File>,
    due: Option<Instant>,
}

impl Mounts {
    pub(super) fn open(template: &Template) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "what the note asks for holds: the file is one descriptor as long as it lives; the replacement is unsafe, which this crate forbids"
        )]
        let table = AsyncFd::new(File::open("/proc/self/mountinfo")?)?;
        Ok(Self { watch: Watch::open(template)?, table, due: None })
    }

    /// Before a launch, and before a spare is made.
    pub(super) fn look(&mut self) -> Option<Generation> {
        said(self.watch.look())
    }

    /// After [`Self::changed`].
    pub(super) fn look_closely(&mut self) -> Option<Generation> {
        said(tokio::task::block_in_place(|| self.watch.look_closely()))
    }

    /// Waits for a change, and a moment longer. Safe to cancel.
    pub(super) async fn changed(&mut self) {
        loop {
            if let Some(due) = self.due {
                tokio::time::sleep_until(due.into()).await;
                self.due = None;
                return;
            }
            // It can always be read; epoll tells of it at the beginning, and again after each change.
            match self.table.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(error) => {
                    journal::error(format_args!("the host's mounts are not watched any more: {error}"));
                    std::future::pending::<()>().await;
                }
            }
            self.due = Some(Instant::now() + PAUSE);
        }
    }
}

/// What cannot be told has changed: `None` is like no generation.
fn said(looked: io::Result<Generation>) -> Option<Generation> {
    looked.inspect_err(|error| journal::warning(format_args!("cannot look at the host's mounts: {error}"))).ok()
}
