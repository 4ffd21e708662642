//! A supervisor that follows a process by ptrace(2), from one mark to the next, and makes its system calls fail.
//!
//! A call that is to fail is not made: the process sees the errno, and the kernel has done nothing. A call that is to
//! be cut short is made with a smaller length, so that the kernel really does less.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::registers::{Registers, skip_call};

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not made, and fails with this errno.
    Fails(i32),
    /// It is made, and fails with this errno: close(2) frees the descriptor in any case.
    FailsAfterwards(i32),
    /// It is made for no more than so many bytes or messages.
    Cut(usize),
    /// It is made with room for no more than so many bytes of control messages.
    CutControl(usize),
    /// It is not made, and returns 0.
    Nothing,
    /// It is made after a pause.
    Slow,
}

/// A fault of the calls of one name: of so many of them, from one on. The first is 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) call: &'static str,
    pub(crate) from: usize,
    pub(crate) times: usize,
    pub(crate) fault: Fault,
}

/// A system call that was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) call: &'static str,
    /// How many bytes or messages it was for, if it was for such.
    pub(crate) length: Option<usize>,
}

/// What was seen of a process.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) calls: Vec<Seen>,
    pub(crate) complaints: Vec<String>,
}

impl Watched {
    fn ended(mut self, how: WaitStatus) -> Self {
        self.complaints.push(format!("it ended before its second mark: {how:?}"));
        self
    }
}

/// More calls than any case makes. A process that makes more is taken for one that never ends.
const MANY_CALLS: usize = 2000;

pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// The calls that can be named, with what their length is, if they have one. Some have another name on another
/// processor or in another C library.
const NAMES: &[(libc::c_long, &str, Option<Length>)] = &[
    (libc::SYS_sendto, "sendto", Some(Length::Argument(2))),
    (libc::SYS_sendmsg, "sendmsg", Some(Length::Slices)),
    (libc::SYS_sendmmsg, "sendmmsg", Some(Length::Argument(2))),
    (libc::SYS_recvmsg, "recvmsg", Some(Length::Slices)),
    (libc::SYS_recvmmsg, "recvmmsg", Some(Length::Argument(2))),
    (libc::SYS_sendfile, "sendfile", Some(Length::Argument(3))),
    (libc::SYS_pread64, "pread", Some(Length::Argument(2))),
    (libc::SYS_write, "write", Some(Length::Argument(2))),
    (libc::SYS_accept4, "accept4", None),
    (libc::SYS_bind, "bind", None),
    (libc::SYS_close, "close", None),
    (libc::SYS_connect, "connect", None),
    (libc::SYS_fcntl, "fcntl", None),
    (libc::SYS_fstat, "fstat", None),
    (libc::SYS_newfstatat, "fstat", None),
    (libc::SYS_getpeername, "getpeername", None),
    (libc::SYS_getpid, "getpid", None),
    (libc::SYS_getsockname, "getsockname", None),
    (libc::SYS_getsockopt, "getsockopt", None),
    (libc::SYS_gettid, "gettid", None),
    (libc::SYS_listen, "listen", None),
    (libc::SYS_lseek, "lseek", None),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, "poll", None),
    (libc::SYS_ppoll, "poll", None),
    (libc::SYS_rt_sigpending, "rt_sigpending", None),
    (libc::SYS_rt_sigprocmask, "rt_sigprocmask", None),
    (libc::SYS_rt_sigtimedwait, "rt_sigtimedwait", None),
    (libc::SYS_setsockopt, "setsockopt", None),
    (libc::SYS_socket, "socket", None),
    (libc::SYS_socketpair, "socketpair", None),
];

/// Where the length of a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Argument(usize),
    /// The slices of the message that the second argument points to.
    Slices,
}

fn named(number: libc::c_long) -> (&'static str, Option<Length>) {
    let row = NAMES.iter().find(|row| row.0 == number);
    row.map_or(("a call that has no row", None), |row| (row.1, row.2))
}

/// Returns whether std asks whether a descriptor is open before it closes it, as it does if it is compiled with its own
/// assertions.
fn is_of_std(registers: &Registers) -> bool {
    registers.number() == libc::SYS_fcntl && registers.argument(1) == libc::F_GETFD as usize
}

/// Returns whether a call by this name returns how much was done.
pub(crate) fn counts(call: &str) -> bool {
    NAMES.iter().any(|row| row.1 == call && row.2.is_some())
}

/// Follows a process, which asks to be followed and stops at its first mark, until its second mark or its end.
pub(crate) fn supervise(process: Pid, plan: &[Planned]) -> nix::Result<Watched> {
    let mut watched = Watched::default();
    loop {
        match waitpid(process, None)? {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => break,
            WaitStatus::Stopped(_, signal) => ptrace::cont(process, signal)?,
            ended => return Ok(watched.ended(ended)),
        }
    }
    ptrace::setoptions(process, ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL)?;
    let memory = Memory::of(process);
    let mut inside: Option<Entered> = None;
    let mut signal = None;
    loop {
        ptrace::syscall(process, signal.take())?;
        match waitpid(process, None)? {
            WaitStatus::PtraceSyscall(_) => match inside.take() {
                Some(entered) => entered.leave(process, &memory, &mut watched)?,
                None => match Entered::enter(process, &memory, plan, &mut watched)? {
                    Some(entered) => inside = Some(entered),
                    None => return ptrace::detach(process, None).map(|()| watched),
                },
            },
            WaitStatus::Stopped(_, other) => signal = Some(other),
            ended => return Ok(watched.ended(ended)),
        }
        if watched.calls.len() > MANY_CALLS {
            watched.complaints.push(format!("it made more than {MANY_CALLS} calls"));
            kill(process, Signal::SIGKILL)?;
            return Ok(watched);
        }
    }
}

/// A call that a process is in.
struct Entered {
    call: &'static str,
    returns: Option<isize>,
    /// What was changed in its memory, and is put back when it returns.
    changed: Vec<(usize, Vec<u8>)>,
}

impl Entered {
    /// Returns `None` at the second mark.
    fn enter(
        process: Pid,
        memory: &Memory,
        plan: &[Planned],
        watched: &mut Watched,
    ) -> nix::Result<Option<Self>> {
        let mut registers = Registers::of(process)?;
        if registers.number() == libc::SYS_tgkill {
            skip_call(process)?;
            return Ok(None);
        }
        if is_of_std(&registers) {
            return Ok(Some(Self { call: "", returns: None, changed: Vec::new() }));
        }
        let (call, length) = named(registers.number());
        let before = watched.calls.iter().filter(|seen| seen.call == call).count();
        let whole = length.map(|length| memory.length(&registers, length));
        watched.calls.push(Seen { call, length: whole });
        let applies =
            |planned: &&Planned| planned.call == call && (planned.from..planned.end()).contains(&before);
        let mut entered = Self { call, returns: None, changed: Vec::new() };
        match plan.iter().find(applies).map(|planned| planned.fault) {
            None => {}
            Some(Fault::Slow) => std::thread::sleep(PAUSE),
            Some(Fault::Fails(errno)) => {
                entered.returns = Some(-(errno as isize));
                skip_call(process)?;
            }
            Some(Fault::Nothing) => {
                entered.returns = Some(0);
                skip_call(process)?;
            }
            Some(Fault::FailsAfterwards(errno)) => entered.returns = Some(-(errno as isize)),
            // The kernel writes there how much there was, so nothing is put back.
            Some(Fault::CutControl(most)) => {
                memory.write(registers.argument(1) + CONTROL_LENGTH_AT, &most.to_ne_bytes());
            }
            Some(Fault::Cut(most)) => match length.expect("a call with a length") {
                Length::Argument(index) => {
                    registers.set_argument(index, most.min(registers.argument(index)));
                    registers.write(process)?;
                }
                Length::Slices => entered.changed = memory.cut_slices(registers.argument(1), most),
            },
        }
        Ok(Some(entered))
    }

    fn leave(self, process: Pid, memory: &Memory, watched: &mut Watched) -> nix::Result<()> {
        let mut registers = Registers::of(process)?;
        for (at, bytes) in &self.changed {
            memory.write(*at, bytes);
        }
        if self.call == "close" && registers.result() == -(libc::EBADF as isize) {
            watched.complaints.push("a descriptor was closed that is not open".to_owned());
        }
        if let Some(result) = self.returns {
            registers.set_result(result);
            registers.write(process)?;
        }
        Ok(())
    }
}

impl Planned {
    fn end(&self) -> usize {
        self.from.saturating_add(self.times)
    }
}

/// The memory of a process.
struct Memory(File);

/// Where a `struct msghdr` of 64 bits has its slices, their number, and the length of its control messages.
const SLICES_AT: usize = 16;
const COUNT_AT: usize = 24;
const CONTROL_LENGTH_AT: usize = 40;
const WORD: usize = size_of::<usize>();

impl Memory {
    fn of(process: Pid) -> Self {
        let path = format!("/proc/{process}/mem");
        Self(
            File::options()
                .read(true)
                .write(true)
                .open(path)
                .expect("the memory of a process that is followed"),
        )
    }

    fn read(&self, at: usize) -> usize {
        let mut word = [0; WORD];
        self.0.read_exact_at(&mut word, at as u64).expect("a word");
        usize::from_ne_bytes(word)
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        self.0.write_all_at(bytes, at as u64).expect("a word");
    }

    fn length(&self, registers: &Registers, length: Length) -> usize {
        match length {
            Length::Argument(index) => registers.argument(index),
            Length::Slices => self.slices(registers.argument(1)).map(|(_, length)| length).sum(),
        }
    }

    /// Returns where the length of each slice of a message is, and the length.
    fn slices(&self, message: usize) -> impl Iterator<Item = (usize, usize)> {
        let (start, count) = (self.read(message + SLICES_AT), self.read(message + COUNT_AT));
        (0..count).map(move |index| {
            let at = start + 2 * WORD * index + WORD;
            (at, self.read(at))
        })
    }

    /// Cuts the slices of a message to so many bytes together, and returns what was there.
    fn cut_slices(&self, message: usize, most: usize) -> Vec<(usize, Vec<u8>)> {
        let mut left = most;
        let mut changed = Vec::new();
        for (at, length) in self.slices(message).collect::<Vec<_>>() {
            let kept = length.min(left);
            left -= kept;
            if kept < length {
                changed.push((at, length.to_ne_bytes().to_vec()));
                self.write(at, &kept.to_ne_bytes());
            }
        }
        changed
    }
}
