//! The doors: each method of the control interface as a request to an agent or the daemon, and the answer as replies.
//! Nothing is decided here but who may ask.

mod listing;
mod output;
mod running;

use crate::caller::Caller;
use crate::daemon::Daemon;
use crate::transport::{Door, Ended, Incoming, Outgoing, parse};
use protocol::control::{
    Attach, Denials, Detach, Doctor, Empty, Events, Exec, Inspect, Kill, List, Logs, Method, Remove, Resize, Run, Wait,
};
use protocol::error::ControlError;
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, fstatfs};
use serde_json::{Map, Value};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Descriptors of a client with a terminal, and of one without.
const STREAMS: [usize; 2] = [2, 3];

/// Answers the calls of `io.agentos.Control`.
#[derive(Clone, Debug)]
pub(crate) struct Control(pub(crate) Arc<Daemon>);

impl Door for Control {
    async fn answer(&self, call: Incoming, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        let Incoming { method, parameters, fds, caller } = call;
        if !fds.is_empty() && !matches!(method.as_str(), "Run" | "Exec" | "Attach") {
            return Err(bad(&method, "", "this method takes no descriptors").into());
        }
        match method.as_str() {
            Run::NAME => self.run(parse(parameters)?, (fds, caller), out).await,
            Exec::NAME => self.exec(parse(parameters)?, (fds, caller), out).await,
            Attach::NAME => self.attach(parse(parameters)?, (fds, caller), out).await,
            Wait::NAME => self.wait(parse(parameters)?, &caller, out).await,
            List::NAME => self.list(parse(parameters)?, &caller, out).await,
            Logs::NAME => self.logs(parse(parameters)?, &caller, out).await,
            Events::NAME => self.events(parse(parameters)?, &caller, out).await,
            Denials::NAME => self.denials(parse(parameters)?, &caller, out).await,
            _ => self.answer_once(&method, parameters, (caller, out)).await,
        }
    }
}

impl Control {
    /// The methods with exactly one reply and nothing beside it.
    async fn answer_once(
        &self,
        method: &str,
        parameters: Map<String, Value>,
        (caller, out): (Caller, &mut Outgoing<'_>),
    ) -> Result<(), Ended> {
        match method {
            Kill::NAME => {
                let reply = self.kill(parse(parameters)?, caller).await?;
                out.last(&reply).await
            }
            Inspect::NAME => {
                let reply = self.inspect(parse(parameters)?, &caller).await?;
                out.last(&reply).await
            }
            Doctor::NAME => {
                let Doctor {} = parse(parameters)?;
                out.last(&self.doctor()).await
            }
            Detach::NAME => {
                self.detach(parse(parameters)?, &caller).await?;
                out.last(&Empty {}).await
            }
            Resize::NAME => {
                self.resize(parse(parameters)?, &caller).await?;
                out.last(&Empty {}).await
            }
            Remove::NAME => {
                self.remove(parse(parameters)?, caller).await?;
                out.last(&Empty {}).await
            }
            // The transport answers for names that the interface does not have.
            other => Err(ControlError::Internal { message: format!("the method {other} has no door") }.into()),
        }
    }
}

fn bad(method: &str, parameter: &str, expected: &str) -> ControlError {
    ControlError::BadParameter { method: method.into(), parameter: parameter.into(), expected: expected.into() }
}

/// As many descriptors as the streams of a process need.
fn check_streams(method: &str, attach: bool, terminal: bool, fds: &[OwnedFd]) -> Result<(), ControlError> {
    let expected = if attach { STREAMS[usize::from(!terminal)] } else { 0 };
    if fds.len() == expected {
        return check_pipes(method, fds);
    }
    let came = fds.len();
    Err(bad(
        method,
        "stdio",
        &format!("expected {expected} descriptors beside the call (attach says how many), {came} came"),
    ))
}

/// The stage reads and writes a client's descriptors as root, and the kernel judges some files and sockets by who does
/// that: only pipes, which hold bytes and nothing else, are taken, each in its direction.
fn check_pipes(method: &str, fds: &[OwnedFd]) -> Result<(), ControlError> {
    /// `PIPEFS_MAGIC` of linux/magic.h: a pipe of pipe(2), and not a FIFO that some file system serves.
    const PIPEFS: u64 = 0x5049_5045;
    for (index, fd) in fds.iter().enumerate() {
        let fifo = fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        let kernels_own = fstatfs(fd).is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| kind == PIPEFS));
        let wanted = if index == 0 { OFlags::RDONLY } else { OFlags::WRONLY };
        let direction = fcntl_getfl(fd).is_ok_and(|flags| flags & OFlags::RWMODE == wanted);
        if !(fifo && kernels_own && direction) {
            let expected = "expected ends of pipes: the read end of one for standard input, write ends for the output";
            return Err(bad(method, "stdio", &format!("{expected}; descriptor {index} is none")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use rustix::pipe::pipe;

    #[test]
    fn only_pipes_in_their_direction_are_taken() {
        let ((in_read, in_write), (out_read, out_write)) = (pipe().unwrap(), pipe().unwrap());
        assert!(check_pipes("Run", &[in_read.try_clone().unwrap(), out_write.try_clone().unwrap()]).is_ok());
        assert!(check_pipes("Run", &[in_write, out_write]).is_err(), "a write end for input");
        assert!(check_pipes("Run", &[in_read.try_clone().unwrap(), out_read]).is_err(), "a read end for output");
        let file: OwnedFd = std::fs::File::open("/proc/self/stat").unwrap().into();
        assert!(check_pipes("Run", &[file]).is_err(), "a file that the kernel judges by who reads it");
        let (socket, _other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        assert!(check_pipes("Run", &[in_read, socket]).is_err(), "a socket that tells who writes");
    }
}
