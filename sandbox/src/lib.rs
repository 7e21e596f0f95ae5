//! A plan in, a confined process out.
//!
//! The library is what the daemon uses: [`plan`], the messages to a stage ([`message`]), and the cgroups that hold an
//! agent ([`cgroup`]). The program `agentos-stage` is the rest: a single-threaded process that builds the sandbox.
//! Everything unsafe in the workspace is in `sys`.

pub mod cgroup;
pub mod log;
pub mod message;
pub mod mounts;
pub mod plan;
mod seccomp;
mod stage;
mod sys;

pub use stage::{Nursery, run as run_stage};
pub use sys::kernel::{close_inherited_on_exec, landlock_abi, leave_descriptor_table};
pub use sys::mount::make_read_only;
pub use sys::signal::{hold_orders, leave_termination, send_signal, take_orders};
