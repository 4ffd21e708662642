//! The registers in which a system call has its number, its arguments and its result.

use std::ffi::{c_int, c_void};

use nix::errno::Errno;
use nix::unistd::Pid;

/// Where the words are in what `PTRACE_GETREGSET` returns: `struct user_regs_struct` of `<sys/user.h>`.
#[cfg(target_arch = "x86_64")]
mod layout {
    pub(super) const WORDS: usize = 27;
    pub(super) const ARGUMENTS: [usize; 6] = [14, 13, 12, 7, 9, 8];
    pub(super) const NUMBER: usize = 15;
    pub(super) const RESULT: usize = 10;
}

#[cfg(target_arch = "aarch64")]
mod layout {
    pub(super) const WORDS: usize = 34;
    pub(super) const ARGUMENTS: [usize; 6] = [0, 1, 2, 3, 4, 5];
    pub(super) const NUMBER: usize = 8;
    pub(super) const RESULT: usize = 0;
}

/// The set of general registers.
const NT_PRSTATUS: c_int = 1;
/// The set that consists of the number of the system call, which this processor's kernel does not read from the general
/// registers again.
#[cfg(target_arch = "aarch64")]
const NT_ARM_SYSTEM_CALL: c_int = 0x404;

/// The general registers of a stopped process.
#[derive(Clone, Copy)]
pub(crate) struct Registers([usize; layout::WORDS]);

impl Registers {
    pub(crate) fn of(process: Pid) -> Result<Self, Errno> {
        let mut words = [0; layout::WORDS];
        exchange(
            libc::PTRACE_GETREGSET,
            process,
            NT_PRSTATUS,
            words.as_mut_ptr().cast(),
            size_of_val(&words),
        )?;
        Ok(Self(words))
    }

    pub(crate) fn write(mut self, process: Pid) -> Result<(), Errno> {
        let start = self.0.as_mut_ptr().cast();
        exchange(libc::PTRACE_SETREGSET, process, NT_PRSTATUS, start, size_of_val(&self.0))
    }

    pub(crate) fn number(&self) -> libc::c_long {
        self.0[layout::NUMBER] as libc::c_long
    }

    pub(crate) fn argument(&self, index: usize) -> usize {
        self.0[layout::ARGUMENTS[index]]
    }

    pub(crate) fn set_argument(&mut self, index: usize, value: usize) {
        self.0[layout::ARGUMENTS[index]] = value;
    }

    pub(crate) fn result(&self) -> isize {
        self.0[layout::RESULT] as isize
    }

    pub(crate) fn set_result(&mut self, value: isize) {
        self.0[layout::RESULT] = value as usize;
    }
}

/// Has the kernel make no call for a process that is stopped at the entry of one. The registers stay as they are where
/// the number has a set of its own.
pub(crate) fn skip_call(process: Pid) -> Result<(), Errno> {
    #[cfg(target_arch = "x86_64")]
    {
        let mut registers = Registers::of(process)?;
        registers.0[layout::NUMBER] = usize::MAX;
        registers.write(process)
    }
    #[cfg(target_arch = "aarch64")]
    {
        let mut none: c_int = -1;
        let start = (&raw mut none).cast();
        exchange(libc::PTRACE_SETREGSET, process, NT_ARM_SYSTEM_CALL, start, size_of_val(&none))
    }
}

/// Reads or writes a set of registers.
fn exchange(
    request: impl Into<i64>,
    process: Pid,
    set: c_int,
    start: *mut c_void,
    length: usize,
) -> Result<(), Errno> {
    let mut room = libc::iovec { iov_base: start, iov_len: length };
    let request = request.into() as _;
    // SAFETY: the kernel reads or writes at most the length of what the caller points to, which outlives the call.
    let returned = unsafe { libc::ptrace(request, process.as_raw(), set as usize, &raw mut room) };
    Errno::result(returned).map(drop)
}
