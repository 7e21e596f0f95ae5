//! Signals to a process of the host. SIGURG is sent: its default is to do nothing.

use crate::{
    denials::PROCESS,
    outcome::{Attempt, Refusal, Step, reached},
    params::Params,
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{call, call_fd, ptr, w},
};

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "processes.kill",
        tries: "kill(host_pid, SIGURG)",
        denials: PROCESS,
        control: Root,
        run: |p| sent(call(libc::SYS_kill, &[w(p.host_pid()?), w(libc::SIGURG)])),
    },
    Primitive {
        id: "processes.kill_group",
        tries: "kill(-host_pid, SIGURG): its process group (the target leads one)",
        denials: PROCESS,
        control: Root,
        run: |p| sent(call(libc::SYS_kill, &[w(-p.host_pid()?), w(libc::SIGURG)])),
    },
    Primitive {
        id: "processes.kill_everyone",
        tries: "kill(-1, SIGURG), then look whether host_pid was among them",
        denials: PROCESS,
        control: When("root in a process namespace of its own with inside=1 and a host_pid in it; refused on a host"),
        run: kill_everyone,
    },
    Primitive {
        id: "processes.tkill",
        tries: "tkill(host_pid, SIGURG)",
        denials: PROCESS,
        control: Root,
        run: |p| sent(call(libc::SYS_tkill, &[w(p.host_pid()?), w(libc::SIGURG)])),
    },
    Primitive {
        id: "processes.tgkill",
        tries: "tgkill(host_pid, host_pid, SIGURG)",
        denials: PROCESS,
        control: Root,
        run: |p| sent(call(libc::SYS_tgkill, &[w(p.host_pid()?), w(p.host_pid()?), w(libc::SIGURG)])),
    },
    Primitive {
        id: "processes.sigqueue",
        tries: "rt_sigqueueinfo(host_pid, SIGURG) with SI_QUEUE",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let info = queued();
            sent(call(libc::SYS_rt_sigqueueinfo, &[w(p.host_pid()?), w(libc::SIGURG), ptr(&info)]))
        },
    },
    Primitive {
        id: "processes.tgsigqueue",
        tries: "rt_tgsigqueueinfo(host_pid, host_pid, SIGURG) with SI_QUEUE",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let (pid, info) = (p.host_pid()?, queued());
            sent(call(libc::SYS_rt_tgsigqueueinfo, &[w(pid), w(pid), w(libc::SIGURG), ptr(&info)]))
        },
    },
    Primitive {
        id: "processes.pidfd_send_signal",
        tries: "pidfd_send_signal(SIGURG) to host_pid",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let pidfd = call_fd(libc::SYS_pidfd_open, &[w(p.host_pid()?), w(0)]).step("pidfd_open")?;
            sent(call(libc::SYS_pidfd_send_signal, &[w(pidfd), w(libc::SIGURG)]))
        },
    },
    Primitive {
        id: "processes.sigio_owner",
        tries: "fcntl(F_SETOWN, host_pid): have the kernel send the signal",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let socket = call_fd(libc::SYS_socket, &[w(libc::AF_UNIX), w(libc::SOCK_STREAM)]).step("socket")?;
            sent(call(libc::SYS_fcntl, &[w(socket), w(libc::F_SETOWN), w(p.host_pid()?)]))
        },
    },
];

fn sent(result: std::io::Result<i64>) -> Attempt {
    result?;
    reached("the kernel accepted the signal")
}

/// A `siginfo_t` as `sigqueue(3)` fills it: signal number, errno, code.
fn queued() -> [i32; 32] {
    let mut info = [0i32; 32];
    info[0] = libc::SIGURG;
    info[2] = libc::SI_QUEUE;
    info
}

fn kill_everyone(p: &Params) -> Attempt {
    if !p.inside() {
        return Err(Refusal::Error(
            "refused: only with inside=1 and in a process namespace that is not the host's".into(),
        ));
    }
    let pid = p.host_pid()?;
    call(libc::SYS_kill, &[w(-1), w(libc::SIGURG)]).step("kill(-1)")?;
    sent(call(libc::SYS_kill, &[w(pid), w(0)]))
}
