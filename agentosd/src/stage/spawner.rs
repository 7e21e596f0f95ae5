//! A thread that starts stages, with a table of descriptors of its own.
//!
//! A new process gets a copy of its parent's table, entry by entry, and closes what it is not to have: with several
//! descriptors for each agent that takes longer than everything else of a start. The thread has left the table of the
//! others while there was nothing in it, and hands over what it makes (unix(7), SCM_RIGHTS).

use super::link;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sandbox::message::{Received, Receiver, send};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// Starts stages.
#[derive(Clone, Debug)]
pub(crate) struct Spawner(Arc<Mutex<Ends>>);

/// One start after the other: descriptors come in the order of the wishes.
#[derive(Debug)]
struct Ends {
    wishes: mpsc::Sender<Wish>,
    made: OwnedFd,
}

struct Wish {
    program: PathBuf,
    done: mpsc::SyncSender<io::Result<()>>,
}

impl Spawner {
    /// Starts the thread. What is open now stays open in its table, so that this comes before everything else.
    ///
    /// # Errors
    /// When no thread can be started, or as `unshare(2)`.
    pub(crate) fn start() -> io::Result<Self> {
        let (made, making) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let (wishes, wished) = mpsc::channel::<Wish>();
        let (ready, is_ready) = mpsc::sync_channel(1);
        std::thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            let left = sandbox::leave_descriptor_table();
            let usable = left.is_ok();
            // Whoever asked waits for it.
            ready.send(left).unwrap_or(());
            while usable && let Ok(Wish { program, done }) = wished.recv() {
                let spawned = spawn(&program)
                    .and_then(|(ours, process)| send(making.as_fd(), &(), &[ours.as_fd(), process.as_fd()]));
                done.send(spawned).unwrap_or(());
            }
        })?;
        is_ready.recv().map_err(|_| io::Error::other("the thread ended"))??;
        Ok(Self(Arc::new(Mutex::new(Ends { wishes, made }))))
    }

    /// Starts a stage: our end of its socket, and its pidfd.
    pub(super) fn spawn(&self, program: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
        let gone = || io::Error::other("the thread that starts stages has ended");
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, is_done) = mpsc::sync_channel(1);
        ends.wishes.send(Wish { program: program.to_owned(), done }).map_err(|_| gone())?;
        is_done.recv().map_err(|_| gone())??;
        match Receiver::default().receive::<()>(&ends.made)? {
            Received::Message((), fds) => {
                let [ours, process] = <[OwnedFd; 2]>::try_from(fds).map_err(|_| gone())?;
                Ok((ours, process))
            }
            Received::Nothing | Received::End => Err(gone()),
        }
    }
}

/// Our end of the socket, and the stage's pidfd: whoever buries it may not be its parent.
fn spawn(program: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = link::pair()?;
    let mut command = Command::new(program);
    // Nothing that the standard library would have to fork for (a directory, a user): posix_spawn copies no page tables,
    // and a copy would cost the daemon a page fault for each page that it then writes.
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).env_clear();
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    // Nobody else reaps it, so that the number is its own.
    Ok((ours, pidfd_open(pid, PidfdFlags::empty())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_started_one_after_the_other_by_a_thread_that_takes_no_signals() {
        let spawner = Spawner::start().unwrap();
        let program = Path::new("/bin/sleep");
        // Without an argument it ends at once, and is reaped here.
        let (_ours, process) = spawner.spawn(program).unwrap();
        let status = rustix::process::waitid(
            rustix::process::WaitId::PidFd(process.as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        );
        assert_eq!(status.unwrap().and_then(|status| status.exit_status()), Some(1));
        let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
        let thread = threads
            .into_iter()
            .find(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "spawner"));
        let status = std::fs::read_to_string(thread.unwrap().join("status")).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
        let blocked = u64::from_str_radix(blocked, 16).unwrap();
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::USR2] {
            assert_ne!(blocked & (1 << (signal.as_raw() - 1)), 0, "the daemon's handlers never run on it");
        }
        let absent = spawner.spawn(Path::new("/no/such/program")).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        spawner.spawn(program).unwrap();
    }
}
