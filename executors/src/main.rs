//! `agentos-executor`: one action, ordered on standard input and reported on standard output; see `protocol::executor`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    executors::run()
}
