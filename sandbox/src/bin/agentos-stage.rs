//! `agentos-stage`: started by `agentosd` with a socket as standard input; see `sandbox::stage`.

use std::io::ErrorKind;
use std::process::ExitCode;

fn main() -> ExitCode {
    match sandbox::run_stage() {
        Ok(()) => ExitCode::SUCCESS,
        // The daemon has gone, and says itself why.
        Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("agentos-stage: the connection to agentosd failed: {error}");
            ExitCode::FAILURE
        }
    }
}
