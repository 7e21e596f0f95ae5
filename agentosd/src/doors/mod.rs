//! The doors: each method of the control interface as a request to an agent or the daemon, and the answer as replies.
//! Nothing is decided here but who may ask.

mod governing;
mod kernel;
mod listing;
mod memory;
mod output;
mod running;
mod services;

pub(crate) use kernel::Kernel;

use crate::caller::Caller;
use crate::daemon::Daemon;
use crate::transport::{Descriptors, Door, Ended, Incoming, Outgoing, Parameters, parse};
use protocol::control::{
    Approvals, Attach, AuditLog, AuditStatus, DecideApproval, Denials, Detach, Doctor, Empty, Events, Exec,
    FinishRestore, Inspect, Interface, Kill, List, ListMemories, Logs, Method, OpenMemory, Perform, Rejoin,
    ReloadServices, Remove, RemoveMemory, Resize, RestoreMemory, Run, Services, StartService, Wait,
};
use protocol::error::ControlError;
use rustix::fs::{OFlags, fcntl_getfl, readlink};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

/// Descriptors of a client with a terminal, and of one without.
const STREAMS: [usize; 2] = [2, 3];

/// Answers the calls of `io.agentos.Control`.
#[derive(Clone, Debug)]
pub(crate) struct Control(pub(crate) Arc<Daemon>);

impl Door for Control {
    const INTERFACE: Interface = protocol::control::SELF;

    async fn answer(&self, call: Incoming, out: &mut Outgoing<'_>) -> Result<(), Ended> {
        let Incoming { method, parameters, fds, caller } = call;
        if !fds.is_empty() && !matches!(method.as_str(), "Run" | "Exec" | "Attach") {
            return Err(bad(&method, "", "this method takes no descriptors").into());
        }
        match method.as_str() {
            Run::NAME => {
                let size = parameters.size();
                self.run((parse(parameters)?, size), (fds, caller), out).await
            }
            Exec::NAME => self.exec(parse(parameters)?, (fds, caller), out).await,
            Attach::NAME => self.attach(parse(parameters)?, (fds, caller), out).await,
            Rejoin::NAME => self.rejoin(parse(parameters)?, &caller, out).await,
            Wait::NAME => self.wait(parse(parameters)?, &caller, out).await,
            List::NAME => self.list(parse(parameters)?, &caller, out).await,
            Logs::NAME => self.logs(parse(parameters)?, &caller, out).await,
            Events::NAME => self.events(parse(parameters)?, &caller, out).await,
            Denials::NAME => self.denials(parse(parameters)?, &caller, out).await,
            OpenMemory::NAME => self.open_memory(parse(parameters)?, &caller, out).await,
            RestoreMemory::NAME => self.restore_memory(parse(parameters)?, &caller, out).await,
            ListMemories::NAME => self.list_memories(parse(parameters)?, &caller, out).await,
            AuditLog::NAME => self.audit_log(parse(parameters)?, &caller, out).await,
            Approvals::NAME => self.approvals(parse(parameters)?, &caller, out).await,
            Services::NAME => self.services(parse(parameters)?, &caller, out).await,
            Perform::NAME => {
                let reply = self.perform(parse(parameters)?, &caller, out).await?;
                out.last(&reply).await
            }
            _ => self.answer_once(&method, parameters, (caller, out)).await,
        }
    }
}

impl Control {
    /// The methods with exactly one reply and nothing beside it.
    async fn answer_once(
        &self,
        method: &str,
        parameters: Parameters,
        (caller, out): (Caller, &mut Outgoing<'_>),
    ) -> Result<(), Ended> {
        match method {
            Kill::NAME => {
                // With a grace period it may be long; a caller that leaves gives its place on the socket back.
                let reply = out.unless_closed(self.kill(parse(parameters)?, caller)).await??;
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
            AuditStatus::NAME => {
                let AuditStatus {} = parse(parameters)?;
                out.last(&self.audit_status()).await
            }
            DecideApproval::NAME => {
                let reply = self.decide_approval(parse(parameters)?, &caller).await?;
                out.last(&reply).await
            }
            FinishRestore::NAME => {
                let FinishRestore { name, restore } = parse(parameters)?;
                self.0.finish_restore(&name, restore, &caller)?;
                out.last(&Empty {}).await
            }
            RemoveMemory::NAME => {
                let RemoveMemory { name } = parse(parameters)?;
                out.unless_closed(self.0.forget(&name, &caller)).await??;
                out.last(&Empty {}).await
            }
            ReloadServices::NAME => {
                let ReloadServices {} = parse(parameters)?;
                self.reload_services(&caller)?;
                out.last(&Empty {}).await
            }
            StartService::NAME => {
                let StartService { name } = parse(parameters)?;
                self.0.services.start(&self.0, (&name, &caller))?;
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
fn streams(method: &str, attach: bool, terminal: bool, fds: Descriptors) -> Result<Vec<OwnedFd>, ControlError> {
    let expected = if attach { STREAMS[usize::from(!terminal)] } else { 0 };
    if fds.len() == expected {
        return pipes(method, fds);
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
fn pipes(method: &str, fds: Descriptors) -> Result<Vec<OwnedFd>, ControlError> {
    for (index, fd) in fds.iter().enumerate() {
        // What proc_pid_fd(5) calls a pipe of pipe(2); a FIFO that some file system serves has a path there. Unlike
        // fstat(2) this asks no file system, which could be the caller's own and never answer.
        let kernels_own = readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())
            .is_ok_and(|target| target.to_bytes().starts_with(b"pipe:["));
        let wanted = if index == 0 { OFlags::RDONLY } else { OFlags::WRONLY };
        let direction = fcntl_getfl(fd).is_ok_and(|flags| flags & OFlags::RWMODE == wanted);
        if !(kernels_own && direction) {
            let expected = "expected ends of pipes: the read end of one for standard input, write ends for the output";
            return Err(bad(method, "stdio", &format!("{expected}; descriptor {index} is none")));
        }
    }
    Ok(fds.into_known())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat, open};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use rustix::pipe::pipe;

    #[test]
    fn only_pipes_in_their_direction_are_taken() {
        let ((in_read, in_write), (out_read, out_write)) = (pipe().unwrap(), pipe().unwrap());
        let taken = |fds: [OwnedFd; 2]| pipes("Run", fds.into_iter().collect()).is_ok();
        assert!(taken([in_read.try_clone().unwrap(), out_write.try_clone().unwrap()]));
        assert!(!taken([in_write, out_write.try_clone().unwrap()]), "a write end for input");
        assert!(!taken([in_read.try_clone().unwrap(), out_read]), "a read end for output");
        let file: OwnedFd = std::fs::File::open("/proc/self/stat").unwrap().into();
        assert!(!taken([file, out_write.try_clone().unwrap()]), "a file that the kernel judges by who reads it");
        let fifo = tempfile::tempdir().unwrap();
        let fifo = fifo.path().join("pipe:[1]");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let fifo = open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        assert!(!taken([fifo, out_write.try_clone().unwrap()]), "a FIFO of some file system");
        let (socket, _other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        assert!(!taken([in_read, socket]), "a socket that tells who writes");
    }
}
