//! Memory: where another's pages lie, memory without a name, and programs that are no file.

use std::{ffi::CStr, fs, io::Write};

use crate::{
    denials::{CALL, PROCESS},
    outcome::{Attempt, Refusal, Step, reached},
    params::Params,
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{Fork, call, call_fd, exit_now, fork, ptr, ptr_mut, w, wait_for},
};

const SYS_SET_MEMPOLICY_HOME_NODE: i64 = 450;
const MFD_EXEC: u32 = 0x10;
const NUMA: &str = "root, where the kernel has CONFIG_NUMA";

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "kernel.move_pages_host",
        tries: "move_pages: ask where host_addr of host_pid lies",
        denials: PROCESS,
        control: When(NUMA),
        run: move_pages,
    },
    Primitive {
        id: "kernel.migrate_pages_host",
        tries: "migrate_pages of host_pid from node 0 to node 0",
        denials: PROCESS,
        control: When(NUMA),
        run: |p| {
            call(libc::SYS_migrate_pages, &[w(p.host_pid()?), w(64), ptr(&1u64), ptr(&1u64)])?;
            reached("moved another's memory")
        },
    },
    Primitive {
        id: "kernel.mbind",
        tries: "mbind of a page of its own to node 0",
        denials: CALL,
        control: When(NUMA),
        run: |_| {
            let page =
                call(libc::SYS_mmap, &[w(0), w(4096), w(3), w(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS), w(-1), w(0)])
                    .step("mmap")?;
            call(libc::SYS_mbind, &[w(page), w(4096), w(libc::MPOL_BIND), ptr(&1u64), w(64), w(0)])?;
            reached("bound")
        },
    },
    Primitive {
        id: "kernel.set_mempolicy_home_node",
        tries: "set_mempolicy_home_node of an empty range",
        denials: CALL,
        control: When(NUMA),
        run: |_| {
            call(SYS_SET_MEMPOLICY_HOME_NODE, &[w(0), w(0), w(0), w(0)])?;
            reached("the call answers")
        },
    },
    Primitive {
        id: "kernel.memfd_exec",
        tries: "memfd_create(MFD_EXEC), write this program into it, execveat",
        denials: CALL,
        control: Root,
        run: |_| memfd_exec(MFD_EXEC),
    },
    Primitive {
        id: "kernel.memfd_exec_old_flags",
        tries: "memfd_create without a word on execution, write this program into it, execveat",
        denials: CALL,
        control: Root,
        run: |_| memfd_exec(0),
    },
    Primitive {
        id: "kernel.memfd_secret",
        tries: "memfd_secret: memory that the kernel cannot read either",
        denials: CALL,
        control: When("root, where the kernel has CONFIG_SECRETMEM and secretmem.enable"),
        run: |_| {
            call_fd(libc::SYS_memfd_secret, &[w(0)])?;
            reached("secret memory")
        },
    },
];

fn move_pages(p: &Params) -> Attempt {
    let page = p.number::<usize>("host_addr")? & !0xfff;
    let mut node = i32::MIN;
    call(libc::SYS_move_pages, &[w(p.host_pid()?), w(1), ptr(&page), w(0), ptr_mut(&mut node), w(0)])?;
    // A negative answer for the page is an errno: the page is not there, but the process was looked into.
    reached(format!("the page's place: {node}"))
}

/// Runs `probe exit 42` from memory and looks for the 42.
fn memfd_exec(flags: u32) -> Attempt {
    let memory = call_fd(libc::SYS_memfd_create, &[w(c"probe"), w(flags)]).step("memfd_create")?;
    let program = fs::read("/proc/self/exe").step("read this program")?;
    fs::File::options()
        .write(true)
        .open(format!("/proc/self/fd/{memory}"))
        .and_then(|mut file| file.write_all(&program))
        .step("write")?;
    match fork().step("fork")? {
        Fork::Child => {
            let arguments: [*const libc::c_char; 4] =
                [c"probe".as_ptr(), c"exit".as_ptr(), c"42".as_ptr(), std::ptr::null()];
            let empty: &CStr = c"";
            let words = [w(memory), w(empty), ptr(&arguments), ptr(&arguments[3]), w(libc::AT_EMPTY_PATH)];
            let refused = call(libc::SYS_execveat, &words).err().and_then(|error| error.raw_os_error());
            exit_now(refused.unwrap_or(0));
        }
        Fork::Parent(child) => {
            let (_, status) = wait_for(child, libc::__WALL).step("wait")?;
            match libc::WEXITSTATUS(status) {
                42 if libc::WIFEXITED(status) => reached("ran a program that is no file"),
                errno => Err(Refusal::Errno(errno, "execveat".into())),
            }
        }
    }
}
