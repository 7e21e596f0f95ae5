//! Runs a command beside a mount: `cargo run -p mounted --example try -- SERVER COMMAND…`, with the mount's path in `$MOUNT`
//! and a tmpfs's in `$TMPFS`.

use anyhow::{Context as _, Result, ensure};
use mounted::{AGENT, Server, Store, Wanted};
use std::process::Command;

fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    let (program, command) = words.next().zip(words.next()).context("usage: try SERVER COMMAND…")?;
    let server = Server::start(program.as_ref())?;
    let store = Store::new()?;
    let mount = server.mount(&store, &Wanted::default())?;
    let beside = server.tmpfs_beside(4 << 30, AGENT)?;
    let mut command = Command::new(command);
    let status = command.args(words).env("MOUNT", mount.path()).env("TMPFS", beside.path()).status();
    print!("{}", server.log());
    ensure!(status.context("failed to start the command")?.success(), "the command failed");
    server.end(mount)
}
