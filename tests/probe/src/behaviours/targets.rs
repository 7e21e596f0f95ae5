//! What there is to attack: one process that holds one of everything, and prints where.
//!
//! A test starts it outside, hands the printed words to `probe run` inside, and ends it by closing its stdin. Then
//! every denial means something: the target is really there, and the same words given to a `probe run` outside reach
//! it.

use std::{
    fs,
    io::{self, Read},
    net::{TcpListener, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
        },
    },
    path::Path,
};

use super::say;
use crate::{
    ipc::{MESSAGE_CANARY, SEMAPHORE_VALUE, SHARED_SIZE},
    processes::CANARY,
    syscall::{call, call_fd, own_pid, ptr, ptr_mut, w},
};

const FILE_CANARY: &str = "canary-in-a-file-of-the-host";

/// System V objects and the message queue, which outlive a process: removed when the target ends.
struct Objects {
    shared: i64,
    semaphore: i64,
    messages: i64,
    /// Absent where Landlock covers every path: the queues' file system has none that a rule could name.
    queue: Option<std::ffi::CString>,
}

/// Makes the targets below `directory`, prints them as `key=value` words on one line, serves until stdin ends.
pub(super) fn hold(directory: &Path) -> io::Result<u8> {
    // The leader of a session, as an agent's main process is, leads its group already and is refused.
    if call(libc::SYS_getpgid, &[w(0)])? != i64::from(own_pid()) {
        call(libc::SYS_setpgid, &[w(0), w(0)])?;
    }
    let file_path = directory.join("host-canary");
    fs::write(&file_path, FILE_CANARY)?;
    let file = fs::File::open(&file_path)?;
    // Held for `launcher.descriptor_directories`, whose way out it is.
    let _directory = fs::File::open(directory)?;
    let name = format!("probe-target-{}", own_pid());
    let by_path = UnixListener::bind(directory.join("host.sock"))?;
    let by_name = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    // A host may have no IPv6; then the primitive has no target.
    let tcp6 = TcpListener::bind("[::1]:0").ok();
    let key = own_pid() | 0x5000_0000;
    let objects = Objects::make(key, &name)?;

    // On the heap, because attacks write it back.
    let canary = Box::new(*CANARY);
    let mut words = vec![
        format!("host_pid={}", own_pid()),
        format!("host_addr={:#x}", std::ptr::from_ref(&*canary).expose_provenance()),
        format!("host_fd={}", file.as_raw_fd()),
        format!("host_file={}", file_path.display()),
        format!("host_canary={FILE_CANARY}"),
        format!("socket_path={}", directory.join("host.sock").display()),
        format!("abstract_name={name}"),
        format!("port={}", tcp.local_addr()?.port()),
        format!("udp_port={}", udp.local_addr()?.port()),
        format!("sysv_key={key:#x}"),
    ];
    if objects.queue.is_some() {
        words.push(format!("mqueue={name}"));
    }
    if let Some(listener) = &tcp6 {
        words.push(format!("port6={}", listener.local_addr()?.port()));
    }
    // Inside a sandbox there are targets too, for other agents; only such programs nobody but root can make.
    if call(libc::SYS_geteuid, &[])? == 0 {
        words.extend(privileged_programs(directory)?);
    }
    say(&words.join(" "))?;

    let mut listeners = vec![by_path.as_fd(), by_name.as_fd(), tcp.as_fd()];
    listeners.extend(tcp6.as_ref().map(AsFd::as_fd));
    let served = serve(&listeners, &udp);
    objects.remove()?;
    served.map(|()| 0)
}

impl Objects {
    fn make(key: i32, name: &str) -> io::Result<Self> {
        let create = libc::IPC_CREAT | libc::IPC_EXCL | 0o666;
        let shared = call(libc::SYS_shmget, &[w(key), w(SHARED_SIZE), w(create)])?;
        let semaphore = call(libc::SYS_semget, &[w(key), w(1), w(create)])?;
        call(libc::SYS_semctl, &[w(semaphore), w(0), w(libc::SETVAL), w(SEMAPHORE_VALUE)])?;
        let messages = call(libc::SYS_msgget, &[w(key), w(create)])?;
        let queue = std::ffi::CString::new(name)?;
        let flags = libc::O_CREAT | libc::O_RDWR;
        let queue = match call_fd(libc::SYS_mq_open, &[w(queue.as_c_str()), w(flags), w(0o666), w(0)]) {
            Ok(fd) => {
                call(libc::SYS_mq_timedsend, &[w(fd), ptr(MESSAGE_CANARY), w(MESSAGE_CANARY.len()), w(0), w(0)])?;
                Some(queue)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(error) => return Err(error),
        };
        Ok(Self { shared, semaphore, messages, queue })
    }

    fn remove(&self) -> io::Result<()> {
        call(libc::SYS_shmctl, &[w(self.shared), w(libc::IPC_RMID), w(0)])?;
        call(libc::SYS_semctl, &[w(self.semaphore), w(0), w(libc::IPC_RMID), w(0)])?;
        call(libc::SYS_msgctl, &[w(self.messages), w(libc::IPC_RMID), w(0)])?;
        match &self.queue {
            Some(queue) => call(libc::SYS_mq_unlink, &[w(queue.as_c_str())]).map(drop),
            None => Ok(()),
        }
    }
}

/// Copies of this program that become root, or get a capability, when they are executed.
fn privileged_programs(directory: &Path) -> io::Result<Vec<String>> {
    let (set_uid, capable) = (directory.join("setuid-probe"), directory.join("capable-probe"));
    fs::copy("/proc/self/exe", &set_uid)?;
    fs::set_permissions(&set_uid, fs::Permissions::from_mode(0o4755))?;
    fs::copy("/proc/self/exe", &capable)?;
    fs::set_permissions(&capable, fs::Permissions::from_mode(0o755))?;
    crate::modes::grant_net_raw(&capable)?;
    Ok(vec![format!("setuid_path={}", set_uid.display()), format!("capable_path={}", capable.display())])
}

/// Takes connections and answers datagrams until stdin ends.
fn serve(listeners: &[BorrowedFd<'_>], udp: &UdpSocket) -> io::Result<()> {
    let stdin = io::stdin();
    let mut fds: Vec<libc::pollfd> = [stdin.as_raw_fd(), udp.as_raw_fd()]
        .into_iter()
        .chain(listeners.iter().map(AsRawFd::as_raw_fd))
        .map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 })
        .collect();
    let count = fds.len();
    loop {
        match call(libc::SYS_poll, &[ptr_mut(fds.as_mut_slice()), w(count), w(-1)]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => drop(other?),
        }
        let ready = |index: usize| fds.get(index).is_some_and(|poll| poll.revents != 0);
        if ready(0) && stdin.lock().read(&mut [0u8; 64])? == 0 {
            return Ok(());
        }
        if ready(1) {
            let mut datagram = [0u8; 64];
            let (length, peer) = udp.recv_from(&mut datagram)?;
            udp.send_to(&datagram[..length], peer)?;
        }
        for (index, listener) in listeners.iter().enumerate().filter(|(index, _)| ready(index + 2)) {
            let accepted = call_fd(libc::SYS_accept4, &[w(listener.as_raw_fd()), w(0), w(0), w(libc::SOCK_CLOEXEC)]);
            match accepted {
                Ok(connection) => drop(call(libc::SYS_close, &[w(connection)])?),
                Err(error) => eprintln!("probe: listener {index}: {error}"),
            }
        }
    }
}
