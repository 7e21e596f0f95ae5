//! Signed notes (C2SP signed-note) and the checkpoints that are written as such (C2SP tlog-checkpoint). Pure.

mod checkpoint;
mod key;
mod origin;

pub(crate) use checkpoint::decimal;
pub use checkpoint::{Checkpoint, CheckpointError, Signed};
pub use key::{KeyError, SigningKey, VerifyingKey};
pub use origin::{BadOrigin, Origin};
