//! The program that built the sandbox: its executable, its first process inside, and programs that grant privileges.
//!
//! Outside a sandbox PID 1 is the host's init, which is never a target: `init_pid=` names a stand-in.

use std::{
    ffi::CString,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    credentials::Credentials,
    denials::{PATH, PROCESS},
    host_files::canary,
    outcome::{Attempt, Refusal, Step, reached},
    params::Params,
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    processes::{proc_list, proc_read, take_descriptor},
    syscall::{call, call_fd, open, w},
};

const STAND_IN: &str = "root with init_pid= of a process that may end; use a fresh one for each";
const UNPRIVILEGED: &str = "an unprivileged process: `setpriv --reuid 12345 --regid 12345 --clear-groups`";
const SYS_FACCESSAT2: i64 = 439;

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "launcher.self_exe_write",
        tries: "open /proc/self/exe for writing (busy counts when the permission is there)",
        denials: PATH,
        control: Root,
        run: |_| overwrite("/proc/self/exe"),
    },
    Primitive {
        id: "launcher.init_exe_write",
        tries: "open /proc/init_pid/exe for writing",
        denials: PROCESS_OR_PATH,
        control: Root,
        run: |p| overwrite(&format!("/proc/{}/exe", p.init_pid()?)),
    },
    Primitive {
        id: "launcher.parent_exe_write",
        tries: "open the exe of the process that started this program for writing",
        denials: PROCESS_OR_PATH,
        control: Root,
        run: |p| overwrite(&format!("/proc/{}/exe", p.parent)),
    },
    Primitive {
        id: "launcher.init_exe_reopen",
        tries: "open /proc/init_pid/exe with O_PATH, then that descriptor again for writing",
        denials: PROCESS_OR_PATH,
        control: Root,
        run: |p| {
            let path = proc_path(p.init_pid()?, "exe")?;
            let fd = open(&path, libc::O_PATH).step("open with O_PATH")?;
            overwrite(&format!("/proc/self/fd/{fd}"))
        },
    },
    Primitive {
        id: "launcher.init_mem",
        tries: "open /proc/init_pid/mem for writing",
        denials: PROCESS_OR_PATH,
        control: Root,
        run: |p| {
            open(&proc_path(p.init_pid()?, "mem")?, libc::O_RDWR)?;
            reached("could rewrite the first process")
        },
    },
    Primitive {
        id: "launcher.init_environ",
        tries: "read /proc/init_pid/environ",
        denials: PROCESS_OR_PATH,
        control: When("root with init_pid= of a process that has an environment"),
        run: |p| proc_read(p.init_pid()?, "environ"),
    },
    Primitive {
        id: "launcher.init_fd",
        tries: "list /proc/init_pid/fd",
        denials: PROCESS_OR_PATH,
        control: Root,
        run: |p| proc_list(p.init_pid()?, "fd"),
    },
    Primitive {
        id: "launcher.init_root",
        tries: "list /proc/init_pid/root/",
        denials: PROCESS_OR_PATH,
        control: Root,
        run: |p| proc_list(p.init_pid()?, "root/"),
    },
    Primitive {
        id: "launcher.init_cwd",
        tries: "list /proc/init_pid/cwd/",
        denials: PROCESS_OR_PATH,
        control: Root,
        run: |p| proc_list(p.init_pid()?, "cwd/"),
    },
    Primitive {
        id: "launcher.init_maps",
        tries: "read /proc/init_pid/maps",
        denials: PROCESS_OR_PATH,
        control: Root,
        run: |p| proc_read(p.init_pid()?, "maps"),
    },
    Primitive {
        id: "launcher.init_ptrace",
        tries: "PTRACE_SEIZE of init_pid",
        denials: PROCESS,
        control: Root,
        run: |p| {
            call(libc::SYS_ptrace, &[w(libc::PTRACE_SEIZE), w(p.init_pid()?)])?;
            reached("seized")
        },
    },
    Primitive {
        id: "launcher.init_getfd",
        tries: "pidfd_getfd: take descriptor 0 out of init_pid",
        denials: PROCESS,
        control: Root,
        run: |p| take_descriptor(p.init_pid()?, 0),
    },
    Primitive {
        id: "launcher.init_limits",
        tries: "prlimit: set the core limit of init_pid to zero",
        denials: PROCESS,
        control: Root,
        run: |p| {
            let limits = [0u64, 0];
            let words = [w(p.init_pid()?), w(libc::RLIMIT_CORE), crate::syscall::ptr(&limits), w(0)];
            call(libc::SYS_prlimit64, &words)?;
            reached("set")
        },
    },
    Primitive {
        id: "launcher.init_sigstop",
        tries: "SIGSTOP to init_pid; reached if it is stopped (it is continued)",
        denials: PROCESS,
        control: Root,
        run: |p| signal_init(p.init_pid()?, libc::SIGSTOP),
    },
    Primitive {
        id: "launcher.setuid_program",
        tries: "execute setuid_path (a set-uid copy of this program); reached if it becomes root",
        denials: PATH,
        control: When(UNPRIVILEGED),
        run: |p| gains(p.text("setuid_path")?),
    },
    Primitive {
        id: "launcher.capable_program",
        tries: "execute capable_path (a copy with a file capability); reached if it gains it",
        denials: PATH,
        control: When(UNPRIVILEGED),
        run: |p| gains(p.text("capable_path")?),
    },
    Primitive {
        id: "launcher.descriptor_directories",
        tries: "find a directory descriptor of any process from which ../../…/host_file is the host's",
        denials: PATH,
        control: Root,
        run: foreign_directories,
    },
    Primitive {
        id: "launcher.init_sigterm",
        tries: "SIGTERM to init_pid; reached if it vanishes",
        denials: PROCESS,
        control: When(STAND_IN),
        run: |p| signal_init(p.init_pid()?, libc::SIGTERM),
    },
    Primitive {
        id: "launcher.init_sigkill",
        tries: "SIGKILL to init_pid; reached if it vanishes",
        denials: PROCESS,
        control: When(STAND_IN),
        run: |p| signal_init(p.init_pid()?, libc::SIGKILL),
    },
];

const PROCESS_OR_PATH: &[i32] =
    &[libc::ESRCH, libc::EPERM, libc::EACCES, libc::ENOENT, libc::EROFS, libc::ENOSYS, libc::ENOTDIR];

fn proc_path(pid: i32, name: &str) -> Result<CString, Refusal> {
    CString::new(format!("/proc/{pid}/{name}")).map_err(|error| Refusal::Error(error.to_string()))
}

/// A program that runs cannot be opened for writing, but an attacker only has to wait for its end (CVE-2019-5736). So
/// on ETXTBSY the permission is what counts; `faccessat2` knows the read-only mount, which `open` looks at too late.
fn overwrite(path: &str) -> Attempt {
    let path = CString::new(path).map_err(|error| Refusal::Error(error.to_string()))?;
    match call_fd(libc::SYS_openat, &[w(libc::AT_FDCWD), w(path.as_c_str()), w(libc::O_WRONLY)]) {
        Ok(_) => reached("open for writing"),
        Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => {
            let words = [w(libc::AT_FDCWD), w(path.as_c_str()), w(libc::W_OK), w(libc::AT_EACCESS)];
            call(SYS_FACCESSAT2, &words).step("busy, and not ours to write")?;
            reached("ours to write as soon as it is not running")
        }
        Err(error) => Err(error.into()),
    }
}

/// The state letter of a process; `None` when there is no such process.
fn state_of(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// True when nobody has the number `pid` any more; /proc may hide a process that is there.
fn is_gone(pid: i32) -> bool {
    match state_of(pid) {
        Some(state) => matches!(state, 'Z' | 'X'),
        None => call(libc::SYS_kill, &[w(pid), w(0)]).is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH)),
    }
}

/// The kernel accepts a signal for the first process of a namespace and drops it; so the effect is what counts.
fn signal_init(pid: i32, signal: i32) -> Attempt {
    if is_gone(pid) {
        return Err(Refusal::Absent("it was gone before".into()));
    }
    call(libc::SYS_kill, &[w(pid), w(signal)])?;
    let deadline = Instant::now() + Duration::from_millis(300);
    while Instant::now() < deadline {
        if is_gone(pid) {
            return reached("gone");
        }
        if matches!(state_of(pid), Some('T' | 't')) {
            call(libc::SYS_kill, &[w(pid), w(libc::SIGCONT)]).step("continue it")?;
            return reached("stopped");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(Refusal::Denied("the kernel took the signal and dropped it".into()))
}

/// Runs a privileged copy of this program and compares what it says about itself with what this process is.
fn gains(program: &str) -> Attempt {
    let before = Credentials::of_this_process().step("read its own credentials")?;
    let output = Command::new(program).arg("setuid-helper").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let after = Credentials::parse(&said).ok_or_else(|| Refusal::Error(format!("{program} said {said}")))?;
    let text = format!("euid {} to {}, capabilities {:#x} to {:#x}", before.euid, after.euid, before.held, after.held);
    let gained = (after.euid == 0 && before.euid != 0) || after.held & !before.held != 0;
    if gained { reached(text) } else { Err(Refusal::Denied(text)) }
}

/// From a directory that lies outside our root, `..` goes on to the host's root: the mount namespace stops nobody
/// there. On a host only `host_pid` and `init_pid` are looked at, never every process.
fn foreign_directories(p: &Params) -> Attempt {
    let file = p.text("host_file")?.trim_start_matches('/');
    let pids: Vec<String> = if p.inside() {
        let entries = fs::read_dir("/proc").step("read /proc")?;
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
    } else {
        [p.host_pid(), p.init_pid()].into_iter().flatten().map(|pid| pid.to_string()).collect()
    };
    for pid in pids.iter().filter(|name| name.parse::<u32>().is_ok()) {
        // A process whose descriptors cannot be listed holds none for us.
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in entries.flatten() {
            let path = entry.path().join("../".repeat(40)).join(file);
            if let Ok(found) = canary(p, &path) {
                return reached(format!("{found} through {}", entry.path().display()));
            }
        }
    }
    Err(Refusal::Denied("no process holds one".into()))
}
