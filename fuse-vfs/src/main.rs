//! `agentos-vfs`: serves the files of every agent, and outlives the daemon's restarts.
//!
//! ```text
//!   agentos-vfs --socket PATH --user UID --group GID [--no-passthrough]
//! ```
//! Started as root by agentosd or by its unit; it keeps what FUSE passthrough needs and gives up the rest before it
//! takes the first order.
#![forbid(unsafe_code)]

use fuse_vfs::server::mounts::Mounts;
use fuse_vfs::server::store::Boot;
use fuse_vfs::server::{confine, serve};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: agentos-vfs --socket PATH --user UID --group GID [--no-passthrough]";
/// Exit codes as in sysexits(3).
const EX_USAGE: u8 = 64;
const EX_OSERR: u8 = 71;

struct Arguments {
    socket: PathBuf,
    identity: confine::Identity,
    passthrough: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = OsString>) -> Option<Self> {
        let (mut socket, mut user, mut group, mut passthrough) = (None, None, None, true);
        while let Some(word) = words.next() {
            match word.to_str()? {
                "--socket" => socket = Some(PathBuf::from(words.next()?)),
                "--user" => user = Some(id(words.next())?),
                "--group" => group = Some(id(words.next())?),
                "--no-passthrough" => passthrough = false,
                _ => return None,
            }
        }
        Some(Self { socket: socket?, identity: confine::Identity { uid: user?, gid: group? }, passthrough })
    }
}

/// Never root's.
fn id(word: Option<OsString>) -> Option<u32> {
    word?.to_str()?.parse().ok().filter(|id| *id != 0)
}

fn main() -> ExitCode {
    // Whoever starts it may hold signals back, and a mask is inherited. Without this it can still be killed.
    nix::sys::signal::SigSet::all().thread_unblock().unwrap_or_default();
    let Some(arguments) = Arguments::parse(std::env::args_os().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(EX_USAGE);
    };
    match with_own_buffers().and_then(|()| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("agentos-vfs: failed to {failure}");
            ExitCode::from(EX_OSERR)
        }
    }
}

/// Starts this program anew with the C library told to map large buffers by themselves, always. By itself it stops that
/// when the first one is freed, and clears what it takes from its heap instead: each mount's request buffer of 16 MiB
/// would be in memory, touched by nobody but memset(3). The library reads its settings only when a program starts.
fn with_own_buffers() -> Result<(), String> {
    const SETTINGS: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1048576");
    if std::env::var_os(SETTINGS.0).is_some_and(|present| present == SETTINGS.1) {
        return Ok(());
    }
    let own = std::env::current_exe().map_err(|error| format!("find its own program: {error}"))?;
    let error = Command::new(own).args(std::env::args_os().skip(1)).env(SETTINGS.0, SETTINGS.1).exec();
    Err(format!("start its own program again: {error}"))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let boot = Boot::read().map_err(|error| format!("read the boot id: {error}"))?;
    let listener = listening(arguments)?;
    confine::confine(arguments.identity, arguments.passthrough).map_err(|failure| failure.to_string())?;
    let mounts = Mounts::new(boot, arguments.passthrough);
    serve(&listener, &mounts).map_err(|error| format!("accept connections: {error}"))
}

/// Listens where the daemon will look. A socket file that an earlier server left is replaced.
fn listening(arguments: &Arguments) -> Result<OwnedFd, String> {
    let path = &arguments.socket;
    let failed = |error| format!("listen at {}: {error}", path.display());
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    match rustix::fs::unlink(path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(failed(error)),
    }
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(failed)?;
    // Nobody but root finds the file open between bind(2) and chmod(2).
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = bind(&socket, &address);
    rustix::process::umask(umask);
    bound.map_err(failed)?;
    listen(&socket, 16).map_err(failed)?;
    Ok(socket)
}
