//! System calls as an attacker makes them: by number, with any word in any register.
//!
//! [`call`] is not sound in general: a system call can do anything to the process that makes it. It is safe to *use*
//! here because every primitive runs in a forked child that is thrown away, and because memory is passed as a borrow: a
//! [`Word`] cannot outlive what it points at.

use std::{ffi::CStr, io, marker::PhantomData};

/// One register of a system call; `'a` is the life of the memory that it points at.
#[derive(Clone, Copy)]
pub(crate) struct Word<'a>(usize, PhantomData<&'a ()>);

impl From<i32> for Word<'_> {
    fn from(value: i32) -> Self {
        Self((value as isize).cast_unsigned(), PhantomData)
    }
}

impl From<u32> for Word<'_> {
    fn from(value: u32) -> Self {
        Self(value as usize, PhantomData)
    }
}

impl From<i64> for Word<'_> {
    fn from(value: i64) -> Self {
        Self(usize::from_ne_bytes(value.to_ne_bytes()), PhantomData)
    }
}

impl From<u64> for Word<'_> {
    fn from(value: u64) -> Self {
        Self(usize::from_ne_bytes(value.to_ne_bytes()), PhantomData)
    }
}

impl From<usize> for Word<'_> {
    fn from(value: usize) -> Self {
        Self(value, PhantomData)
    }
}

impl<'a> From<&'a CStr> for Word<'a> {
    fn from(value: &'a CStr) -> Self {
        Self(value.as_ptr().expose_provenance(), PhantomData)
    }
}

/// Any integer or C string as a register.
pub(crate) fn w<'a>(value: impl Into<Word<'a>>) -> Word<'a> {
    value.into()
}

/// The address of memory that the kernel reads.
pub(crate) fn ptr<T: ?Sized>(value: &T) -> Word<'_> {
    Word(std::ptr::from_ref(value).cast::<u8>().expose_provenance(), PhantomData)
}

/// The address of memory that the kernel may write.
pub(crate) fn ptr_mut<T: ?Sized>(value: &mut T) -> Word<'_> {
    Word(std::ptr::from_mut(value).cast::<u8>().expose_provenance(), PhantomData)
}

/// Makes the call `number`; registers that `arguments` does not name are zero.
pub(crate) fn call(number: i64, arguments: &[Word<'_>]) -> io::Result<i64> {
    let mut registers = [0usize; 6];
    for (register, word) in registers.iter_mut().zip(arguments) {
        *register = word.0;
    }
    let [a, b, c, d, e, f] = registers;
    // SAFETY: pointers among the registers come from borrows that outlive this call (`ptr`, `ptr_mut`, `&CStr`); what
    // the call does to this process ends with the process, which the runner throws away.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A call that answers with a descriptor. It stays open until the process ends: an attacker does not tidy up.
pub(crate) fn call_fd(number: i64, arguments: &[Word<'_>]) -> io::Result<i32> {
    call(number, arguments).map(|fd| i32::try_from(fd).unwrap_or(-1))
}

/// `open(2)` relative to the working directory.
pub(crate) fn open(path: &CStr, flags: i32) -> io::Result<i32> {
    call_fd(libc::SYS_openat, &[w(libc::AT_FDCWD), w(path), w(flags | libc::O_CLOEXEC)])
}

/// A forked copy of this process, and which side of the fork this is.
pub(crate) enum Fork {
    /// This is the new process.
    Child,
    /// This is the old one; the number is the child's.
    Parent(i32),
}

/// `fork(2)`; the program has one thread, so everything may run in the child.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: the process is single-threaded, so no lock is held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Ends the process at once, without running destructors of state that the parent shares.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// The wait status of a child.
pub(crate) fn wait_for(pid: i32, flags: i32) -> io::Result<(i32, i32)> {
    let mut status = 0i32;
    let found = call(libc::SYS_wait4, &[w(pid), ptr_mut(&mut status), w(flags), w(0)])?;
    Ok((i32::try_from(found).unwrap_or(-1), status))
}

/// This process's number in its own namespace.
pub(crate) fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}
