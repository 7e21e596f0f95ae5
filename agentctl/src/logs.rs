//! `logs`: an agent's output again, each stream to where it went.

use crate::cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::show::output::Painter;
use protocol::control::{Logs, Stream};
use protocol::ids::TimeUs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// `agentctl logs`.
pub(crate) fn logs(socket: &Path, options: cli::Logs) -> Result<u8, Failure> {
    let client = Client::connect(socket)?;
    let painter = |terminal: bool| Painter::new(terminal && !options.raw, options.timestamps);
    let mut stdout = painter(io::stdout().is_terminal());
    let mut stderr = painter(io::stderr().is_terminal());
    let wanted = |stream| match stream {
        Stream::Stdout => !options.stderr_only,
        Stream::Stderr => !options.stdout_only,
    };
    let mut last = TimeUs(0);
    client.stream(&Logs { name: options.name.clone(), follow: options.follow }, |page| {
        for entry in page.entries.into_iter().filter(|entry| wanted(entry.stream)) {
            last = entry.time_us;
            match entry.stream {
                Stream::Stdout => write(&mut io::stdout().lock(), &stdout.paint(entry.time_us, &entry.data.0)),
                Stream::Stderr => write(&mut io::stderr().lock(), &stderr.paint(entry.time_us, &entry.data.0)),
            }?;
        }
        io::stdout().flush().map_err(Failure::Output)
    })?;
    write(&mut io::stdout().lock(), &stdout.finish(last))?;
    write(&mut io::stderr().lock(), &stderr.finish(last))?;
    Ok(0)
}

fn write(to: &mut impl Write, bytes: &[u8]) -> Result<(), Failure> {
    to.write_all(bytes).and_then(|()| to.flush()).map_err(Failure::Output)
}
