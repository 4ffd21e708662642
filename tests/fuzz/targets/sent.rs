//! What a kernel takes of what is sent.

use std::cell::Cell;
use std::ffi::c_int;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use nix::errno::Errno;

use super::kernel::Answer;

/// How a send ends.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) enum Taken {
    All,
    Part(u16),
    Interrupted,
    WouldBlock,
    Gone,
    Refused,
}

impl Taken {
    pub(super) fn of(self, offered: usize) -> Answer {
        match self {
            Self::All => Ok(offered),
            Self::Part(count) => Ok(offered.min(count.into())),
            Self::Interrupted => Err(Errno::EINTR),
            Self::WouldBlock => Err(Errno::EAGAIN),
            Self::Gone => Err(Errno::EPIPE),
            Self::Refused => Err(Errno::EINVAL),
        }
    }
}

/// Answers that are given in turn.
pub(super) struct InTurn<'a, T> {
    all: &'a [T],
    next: Cell<usize>,
}

impl<'a, T: Copy> InTurn<'a, T> {
    pub(super) fn new(all: &'a [T]) -> Self {
        Self { all, next: Cell::new(0) }
    }

    pub(super) fn next(&self) -> Option<T> {
        let next = self.next.get();
        self.next.set(next + 1);
        self.all.get(next).copied()
    }

    /// Whether more was asked for than there is.
    pub(super) fn is_used_up(&self) -> bool {
        self.next.get() > self.all.len()
    }
}

/// Data whose every byte says where it is: the periods are primes, so no two of the three look alike for long.
#[derive(Debug, Clone, Copy)]
pub(super) enum Data {
    Header,
    File,
    Trailer,
}

/// How much of it there is at once.
pub(super) const MOST: usize = 1 << 17;

impl Data {
    pub(super) fn at(self, start: u64, count: usize) -> &'static [u8] {
        static ALL: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
            [(251, 0), (241, 100), (239, 200)].map(|(period, first): (usize, u8)| {
                (0..MOST + period).map(|at| (at % period) as u8 ^ first).collect()
            })
        });
        let period = [251, 241, 239][self as usize];
        &ALL[self as usize][(start % period) as usize..][..count]
    }
}

thread_local! {
    static SOCKET: (UnixStream, UnixStream) = UnixStream::pair().expect("a pair");
    static NO_SOCKET: File = File::open("/dev/null").expect("a file");
}

/// A socket to which nothing is sent. The library asks the real kernel what it is, after an error.
pub(super) fn with_socket<T>(run: impl FnOnce(&UnixStream) -> T) -> T {
    SOCKET.with(|(ours, _theirs)| run(ours))
}

/// What the real kernel refuses to send to.
pub(super) fn with_no_socket<T>(run: impl FnOnce(&File) -> T) -> T {
    NO_SOCKET.with(run)
}

/// Returns the descriptors in a control message that has nothing else, if there is one and it is exactly as long as
/// the kernel wants it.
pub(super) fn rights_in(control: &[u8]) -> Result<Vec<c_int>, String> {
    if control.is_empty() {
        return Ok(Vec::new());
    }
    // SAFETY: it is arithmetic.
    let start = unsafe { libc::CMSG_LEN(0) } as usize;
    let level_at = size_of::<libc::cmsghdr>() - 8;
    let int = |at: usize| c_int::from_ne_bytes(control[at..at + 4].try_into().unwrap());
    let length = int(if cfg!(target_endian = "big") { level_at - 4 } else { 0 }) as usize;
    // SAFETY: it is arithmetic.
    let space = unsafe { libc::CMSG_SPACE((length - start) as u32) } as usize;
    if (int(level_at), int(level_at + 4), space) != (libc::SOL_SOCKET, libc::SCM_RIGHTS, control.len()) {
        return Err(format!("no message of descriptors: {control:?}"));
    }
    Ok((start..length).step_by(4).map(int).collect())
}
