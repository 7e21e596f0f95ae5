//! The three standard streams between the caller and the process.
//!
//! ```text
//!   our stdin ──► flow ──► pipe ══► stage          stage ══► pipe ──► flow ──► our stdout, stderr
//! ```
//! The far ends of the pipes travel beside the call and are closed here right after; the ends of the streams are then
//! the kernel's to tell.

use super::flow::Flow;
use crate::failure::Failure;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::stdio;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

type Ours = BorrowedFd<'static>;

/// The near ends.
pub(crate) struct Streams {
    /// From our standard input.
    pub(crate) input: Flow<Ours, OwnedFd>,
    /// To our standard output and standard error.
    pub(crate) outputs: Vec<Flow<OwnedFd, Ours>>,
}

/// The far ends, in the order in which the interface wants them.
pub(crate) struct Passed(Vec<OwnedFd>);

impl Streams {
    /// Pipes for standard input and standard output, and for standard error unless there is a terminal instead.
    pub(crate) fn open(with_errors: bool) -> Result<(Self, Passed), Failure> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(Failure::os("make a pipe"));
        let (input_far, input_near) = pipe()?;
        let mut passed = vec![input_far];
        let mut outputs = Vec::with_capacity(2);
        for sink in [stdio::stdout(), stdio::stderr()].into_iter().take(if with_errors { 2 } else { 1 }) {
            let (near, far) = pipe()?;
            passed.push(far);
            outputs.push(Flow::new(near, sink));
        }
        Ok((Self { input: Flow::new(stdio::stdin(), input_near), outputs }, Passed(passed)))
    }
}

impl Passed {
    /// The descriptors to send.
    pub(crate) fn borrow(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd).collect()
    }
}
