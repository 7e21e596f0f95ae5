//! `agentos-stage`: started by `agentosd` with a socket as standard input; see `sandbox::stage`.

fn main() -> std::io::Result<()> {
    sandbox::run_stage()
}
