//! Typing into a terminal on someone's behalf. The kernel looks at the low 32 bits of an ioctl's number only.

use std::io::IsTerminal;

use crate::{
    outcome::{Attempt, Refusal, Step, past_the_check, reached},
    primitive::{
        Control::{Root, When},
        Primitive,
    },
    syscall::{call, call_fd, open, ptr, ptr_mut, w},
};

const HIGH_BITS: u64 = 0xdead_beef << 32;
const TIOCGPTPEER: u32 = 0x5441;
const TIOCLINUX: u64 = 0x541c;
/// EIO is the answer of a kernel whose `dev.tty.legacy_tiocsti` is off.
const DENIALS: &[i32] = &[libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EIO, libc::ENOENT];

pub(crate) const PRIMITIVES: &[Primitive] = &[
    Primitive {
        id: "kernel.tiocsti_own",
        tries: "ioctl(TIOCSTI) on a terminal that it opened, and read the byte back",
        denials: DENIALS,
        control: Root,
        run: |_| type_into_own(0),
    },
    Primitive {
        id: "kernel.tiocsti_own_high_bits",
        tries: "the same with 0xdeadbeef in the high half of the request",
        denials: DENIALS,
        control: Root,
        run: |_| type_into_own(HIGH_BITS),
    },
    Primitive {
        id: "kernel.tiocsti_stdio",
        tries: "ioctl(TIOCSTI) of a NUL on the standard descriptors",
        denials: DENIALS,
        control: When("root with a terminal for stdio; absent without one"),
        run: |_| type_into_stdio(0),
    },
    Primitive {
        id: "kernel.tiocsti_stdio_high_bits",
        tries: "the same with 0xdeadbeef in the high half of the request",
        denials: DENIALS,
        control: When("root with a terminal for stdio; absent without one"),
        run: |_| type_into_stdio(HIGH_BITS),
    },
    Primitive {
        id: "kernel.tioclinux",
        tries: "ioctl(TIOCLINUX) on a terminal that it opened (ENOTTY past the filter: it is no console)",
        denials: DENIALS,
        control: Root,
        run: |_| console(0),
    },
    Primitive {
        id: "kernel.tioclinux_high_bits",
        tries: "the same with 0xdeadbeef in the high half of the request",
        denials: DENIALS,
        control: Root,
        run: |_| console(HIGH_BITS),
    },
];

/// A new terminal, which becomes the controlling one of a new session.
fn own_terminal() -> Result<i32, Refusal> {
    let master = open(c"/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY).step("open /dev/ptmx")?;
    call(libc::SYS_ioctl, &[w(master), w(libc::TIOCSPTLCK), ptr(&0i32)]).step("unlock")?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK;
    let terminal = call_fd(libc::SYS_ioctl, &[w(master), w(TIOCGPTPEER), w(flags)]).step("open the terminal")?;
    call(libc::SYS_setsid, &[]).step("setsid")?;
    call(libc::SYS_ioctl, &[w(terminal), w(libc::TIOCSCTTY), w(0)]).step("TIOCSCTTY")?;
    Ok(terminal)
}

fn type_into_own(high: u64) -> Attempt {
    let terminal = own_terminal()?;
    call(libc::SYS_ioctl, &[w(terminal), w(libc::TIOCSTI | high), ptr(b"\n")]).step("TIOCSTI")?;
    let mut byte = [0u8; 1];
    call(libc::SYS_read, &[w(terminal), ptr_mut(&mut byte), w(1)]).step("read")?;
    reached("typed a line")
}

fn type_into_stdio(high: u64) -> Attempt {
    let terminals = [std::io::stdin().is_terminal(), std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
    let Some(descriptor) = terminals.iter().position(|is_terminal| *is_terminal) else {
        return Err(Refusal::Absent("no standard descriptor is a terminal".into()));
    };
    call(libc::SYS_ioctl, &[w(descriptor), w(libc::TIOCSTI | high), ptr(&0u8)])?;
    reached(format!("typed into descriptor {descriptor}"))
}

fn console(high: u64) -> Attempt {
    let terminal = own_terminal()?;
    // Subcode 6 asks for the state of the shift keys.
    past_the_check(call(libc::SYS_ioctl, &[w(terminal), w(TIOCLINUX | high), ptr(&[6u8])]), &[libc::ENOTTY])
}
