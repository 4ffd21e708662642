//! Raw system calls, as a C program makes them, mistakes included.

use std::ffi::{c_int, c_void};
use std::io::{IoSlice, IoSliceMut};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::Result;
use nix::errno::Errno;
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use unisend::{ReceiveFlags, SendFlags};

use crate::trial::Destination;

/// The option for the least time to live of the packets that a socket accepts. libc has no name for OpenBSD's.
pub(crate) const IP_MINTTL: c_int = if cfg!(target_os = "openbsd") { 32 } else { 21 };

static SIGPIPE_RAISED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_sigpipe(_signal: c_int) {
    SIGPIPE_RAISED.store(true, Ordering::SeqCst);
}

/// Makes a SIGPIPE be noted instead of killing the process.
pub(crate) fn note_sigpipes() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(note_sigpipe), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only stores into an atomic.
    unsafe { signal::sigaction(Signal::SIGPIPE, &action) }.map(drop)
}

/// Restores the default disposition of SIGPIPE, as in a C program: it kills the process. Rust's start code
/// ignores the signal.
pub(crate) fn default_sigpipe() -> Result<()> {
    // SAFETY: no handler is installed.
    unsafe { signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map(drop)
}

/// Returns whether a SIGPIPE was noted since the last call.
pub(crate) fn take_sigpipe() -> bool {
    SIGPIPE_RAISED.swap(false, Ordering::SeqCst)
}

/// The numbers of flags in this system's C headers. A flag that the system lacks has none.
pub(crate) fn flag_numbers(flags: SendFlags) -> c_int {
    #[cfg(target_os = "linux")]
    const HINTS: [(SendFlags, c_int); 2] =
        [(SendFlags::MORE, libc::MSG_MORE), (SendFlags::CONFIRM, libc::MSG_CONFIRM)];
    #[cfg(not(target_os = "linux"))]
    const HINTS: [(SendFlags, c_int); 0] = [];

    [
        (SendFlags::OUT_OF_BAND, libc::MSG_OOB),
        (SendFlags::DONT_ROUTE, libc::MSG_DONTROUTE),
        (SendFlags::DONT_WAIT, libc::MSG_DONTWAIT),
        (SendFlags::END_OF_RECORD, libc::MSG_EOR),
    ]
    .into_iter()
    .chain(HINTS)
    .filter(|(flag, _)| flags.contains(*flag))
    .fold(0, |numbers, (_, number)| numbers | number)
}

/// The same for receiving.
pub(crate) fn receive_flag_numbers(flags: ReceiveFlags) -> c_int {
    [
        (ReceiveFlags::DONT_WAIT, libc::MSG_DONTWAIT),
        (ReceiveFlags::PEEK, libc::MSG_PEEK),
        (ReceiveFlags::OUT_OF_BAND, libc::MSG_OOB),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .fold(0, |numbers, (_, number)| numbers | number)
}

fn count(returned: isize) -> Result<usize> {
    Errno::result(returned).map(|count| count as usize)
}

/// send(2).
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8], flags: c_int) -> Result<usize> {
    // SAFETY: the pointer and length are one slice's.
    count(unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// send(2) of memory that may be unreadable. The kernel checks it.
pub(crate) fn send_memory(
    fd: BorrowedFd<'_>,
    start: *const u8,
    length: usize,
    flags: c_int,
) -> Result<usize> {
    // SAFETY: the kernel reads the memory, if at all, and returns EFAULT for memory that cannot be read.
    count(unsafe { libc::send(fd.as_raw_fd(), start.cast(), length, flags) })
}

/// sendfile(2), with 64-bit offsets.
#[cfg(target_os = "linux")]
pub(crate) fn sendfile(
    output: BorrowedFd<'_>,
    input: BorrowedFd<'_>,
    offset: Option<&mut u64>,
    length: u64,
) -> Result<u64> {
    #[cfg(not(target_env = "gnu"))]
    use libc::sendfile as sendfile64;
    #[cfg(target_env = "gnu")]
    use libc::sendfile64;

    // off_t has the same width, and is signed.
    let offset = offset.map_or(ptr::null_mut(), |offset| ptr::from_mut(offset).cast());
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    // SAFETY: the pointer is null or to an offset.
    count(unsafe { sendfile64(output.as_raw_fd(), input.as_raw_fd(), offset, length) })
        .map(|sent| sent as u64)
}

/// The system has no sendfile(2), and no case calls this.
#[cfg(not(target_os = "linux"))]
pub(crate) fn sendfile(
    _output: BorrowedFd<'_>,
    _input: BorrowedFd<'_>,
    _offset: Option<&mut u64>,
    _length: u64,
) -> Result<u64> {
    Err(Errno::ENOSYS)
}

/// write(2).
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the pointer and length are one slice's.
    count(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })
}

/// writev(2) of this many empty slices.
pub(crate) fn write_slices(fd: BorrowedFd<'_>, slices: c_int) -> Result<usize> {
    let vectors = vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; slices as usize];
    // SAFETY: the pointer and length are one vector's, whose members are empty.
    count(unsafe { libc::writev(fd.as_raw_fd(), vectors.as_ptr(), slices) })
}

/// sendmsg(2) of slices.
pub(crate) fn send_message(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> Result<usize> {
    send_vectors(fd, slices.as_ptr().cast(), slices.len())
}

/// sendmsg(2) of vectors that may be invalid. The kernel checks them.
pub(crate) fn send_vectors(fd: BorrowedFd<'_>, vectors: *const libc::iovec, length: usize) -> Result<usize> {
    // SAFETY: zero is valid for every member: no name and no control data.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = vectors.cast_mut();
    message.msg_iovlen = length as _;
    // SAFETY: the kernel reads the memory, and returns EFAULT for memory that cannot be read.
    count(unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, 0) })
}

/// sendmsg(2) of this many empty slices to an address.
pub(crate) fn send_message_to(fd: BorrowedFd<'_>, slices: usize, to: SocketAddr) -> Result<usize> {
    let vectors = vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; slices];
    let (mut name, length) = socket_name(Destination::Internet(to));
    // SAFETY: zero is valid for every member: no control data.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = (&raw mut name).cast();
    message.msg_namelen = length as libc::socklen_t;
    message.msg_iov = vectors.as_ptr().cast_mut();
    message.msg_iovlen = slices as _;
    count(sendmsg(fd, &message, 0))
}

/// sendmmsg(2) of messages of one slice each, to the socket's peer. musl has a loop of sendmsg(2) in its place.
pub(crate) fn send_messages(fd: BorrowedFd<'_>, messages: &[&[u8]]) -> Result<usize> {
    let slices: Vec<_> = messages.iter().map(|message| IoSlice::new(message)).collect();
    let mut headers = headers_of(slices.as_ptr().cast(), slices.len());
    let (start, length) = (headers.as_mut_ptr(), headers.len() as libc::c_uint);
    #[cfg(target_os = "linux")]
    // SAFETY: the pointer and length are one array's, whose messages point to slices that outlive the call.
    let sent = unsafe { libc::syscall(libc::SYS_sendmmsg, fd.as_raw_fd(), start, length, 0) };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: as above.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), start, length, 0) };
    count(sent as isize)
}

/// recvmmsg(2) into so many buffers of two bytes, without names. Returns the length and the flags of each message.
pub(crate) fn receive_messages(fd: BorrowedFd<'_>, most: usize, flags: c_int) -> Result<Vec<(usize, c_int)>> {
    let mut buffers = vec![[0_u8; 2]; most];
    let vectors: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() })
        .collect();
    let mut headers = headers_of(vectors.as_ptr(), vectors.len());
    let (start, length) = (headers.as_mut_ptr(), headers.len() as libc::c_uint);
    // SAFETY: the pointer and length are one array's, whose messages point to buffers that are ours to write.
    let received = unsafe { libc::recvmmsg(fd.as_raw_fd(), start, length, flags as _, ptr::null_mut()) };
    headers.truncate(count(received as isize)?);
    Ok(headers.iter().map(|header| (header.msg_len as usize, header.msg_hdr.msg_flags)).collect())
}

/// A header for each vector.
fn headers_of(vectors: *const libc::iovec, length: usize) -> Vec<libc::mmsghdr> {
    let header = |index| {
        // SAFETY: zero is valid for every member: no name and no control data.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = vectors.wrapping_add(index).cast_mut();
        message.msg_iovlen = 1;
        libc::mmsghdr { msg_hdr: message, msg_len: 0 }
    };
    (0..length).map(header).collect()
}

/// Returns a raw socket of ICMP.
pub(crate) fn icmp() -> Result<OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

    socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)
}

/// sendto(2).
pub(crate) fn send_to(fd: BorrowedFd<'_>, bytes: &[u8], to: Destination<'_>) -> Result<usize> {
    let (name, length) = socket_name(to);
    send_to_name(fd, bytes, &name, length)
}

/// sendto(2) with a name of this length, which may be wrong.
pub(crate) fn send_to_name(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    name: &libc::sockaddr_storage,
    length: usize,
) -> Result<usize> {
    assert!(length <= size_of::<libc::sockaddr_storage>(), "the name is no longer than what holds it");
    let name = ptr::from_ref(name).cast();
    // SAFETY: the pointers and lengths are one slice's and one name's.
    count(unsafe {
        libc::sendto(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0, name, length as libc::socklen_t)
    })
}

/// Returns a name as a C program makes it, and its exact length.
pub(crate) fn socket_name(to: Destination<'_>) -> (libc::sockaddr_storage, usize) {
    use nix::sys::socket::{SockaddrIn, SockaddrIn6, SockaddrLike};

    match to {
        Destination::Internet(SocketAddr::V4(address)) => {
            let name = SockaddrIn::from(address);
            stored(name.as_ptr().cast(), name.len() as usize)
        }
        Destination::Internet(SocketAddr::V6(address)) => {
            let name = SockaddrIn6::from(address);
            stored(name.as_ptr().cast(), name.len() as usize)
        }
        Destination::Mapped(address) => {
            let mapped = (address.ip().to_ipv6_mapped(), address.port());
            socket_name(Destination::Internet(mapped.into()))
        }
        Destination::Path(path) => unix_name(path.as_os_str().as_bytes(), 1),
        Destination::Abstract(name) => unix_name(&[b"\0", name].concat(), 0),
    }
}

/// Returns the name of a unix socket, with this many NUL bytes after it.
pub(crate) fn unix_name(path: &[u8], terminator: usize) -> (libc::sockaddr_storage, usize) {
    let header = mem::offset_of!(libc::sockaddr_un, sun_path);
    let length = header + path.len() + terminator;
    // SAFETY: zero is valid for every member.
    let mut name: libc::sockaddr_storage = unsafe { mem::zeroed() };
    name.ss_family = libc::AF_UNIX as libc::sa_family_t;
    assert!(length <= size_of_val(&name), "the path fits");
    let path_in_name = (&raw mut name).cast::<u8>().wrapping_add(header);
    // SAFETY: both have that many bytes, and do not overlap.
    unsafe { ptr::copy_nonoverlapping(path.as_ptr(), path_in_name, path.len()) };
    (name, length)
}

fn stored(name: *const u8, length: usize) -> (libc::sockaddr_storage, usize) {
    // SAFETY: zero is valid for every member.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    // SAFETY: the name has that many bytes, no more than the storage; they do not overlap.
    unsafe { ptr::copy_nonoverlapping(name, (&raw mut storage).cast::<u8>(), length) };
    (storage, length)
}

/// recv(2).
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8], flags: c_int) -> Result<usize> {
    // SAFETY: the pointer and length are one slice's, which is ours to write.
    count(unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}

/// recvfrom(2) with these flags, without waiting. Returns the sender's name, as long as the kernel says that it is.
pub(crate) fn receive_name(fd: BorrowedFd<'_>, flags: c_int) -> Result<Vec<u8>> {
    let mut byte = [0_u8];
    let (start, length) = (byte.as_mut_ptr().cast(), byte.len());
    name_by(|name, name_length| {
        // SAFETY: the pointers are to a byte, to room for a name, and to its length.
        count(unsafe {
            libc::recvfrom(fd.as_raw_fd(), start, length, flags | libc::MSG_DONTWAIT, name, name_length)
        })
    })
}

/// getsockname(2).
pub(crate) fn own_name(fd: BorrowedFd<'_>) -> Result<Vec<u8>> {
    name_by(|name, name_length| {
        // SAFETY: the pointers are to room for a name, and to its length.
        count(unsafe { libc::getsockname(fd.as_raw_fd(), name, name_length) } as isize)
    })
}

/// getpeername(2).
pub(crate) fn peer_name(fd: BorrowedFd<'_>) -> Result<Vec<u8>> {
    name_by(|name, name_length| {
        // SAFETY: the pointers are to room for a name, and to its length.
        count(unsafe { libc::getpeername(fd.as_raw_fd(), name, name_length) } as isize)
    })
}

fn name_by(call: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> Result<usize>) -> Result<Vec<u8>> {
    let mut name = vec![0_u8; 256];
    let mut length = name.len() as libc::socklen_t;
    call(name.as_mut_ptr().cast(), &raw mut length)?;
    name.truncate(length as usize);
    Ok(name)
}

/// Brings the loopback interface of this process's network up, with 127.0.0.1.
#[cfg(target_os = "linux")]
pub(crate) fn bring_loopback_up() -> Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: zero is valid for every member.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as _, b'o' as _]);
    request.ifr_ifru.ifru_flags = libc::IFF_UP as _;
    // SAFETY: this request reads a name and flags through the pointer.
    let returned = unsafe { libc::ioctl(any.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) };
    Errno::result(returned).map(drop)
}

/// accept(2).
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    let number = nix::sys::socket::accept(listener.as_raw_fd())?;
    // SAFETY: it has just been made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// setsockopt(2) of an int.
pub(crate) fn set_option(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> Result<usize> {
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointer and length are the int's.
    let returned =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, ptr::from_ref(&value).cast(), length) };
    Errno::result(returned).map(|zero| zero as usize)
}

/// getsockopt(2) of an int.
pub(crate) fn get_option(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> Result<c_int> {
    let mut value = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the pointers are to an int and to its length.
    let returned =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    Errno::result(returned).map(|_| value)
}

/// connect(2) with `AF_UNSPEC`.
pub(crate) fn disconnect(fd: BorrowedFd<'_>) -> Result<usize> {
    // SAFETY: zero is valid for every member, and AF_UNSPEC is zero.
    let mut nowhere: libc::sockaddr_in = unsafe { mem::zeroed() };
    nowhere.sin_family = libc::AF_UNSPEC as libc::sa_family_t;
    let length = size_of_val(&nowhere) as libc::socklen_t;
    // SAFETY: the pointer and length are the name's.
    let returned = unsafe { libc::connect(fd.as_raw_fd(), (&raw const nowhere).cast(), length) };
    Errno::result(returned).map(|zero| zero as usize)
}

/// Returns a mapping of this many readable bytes, followed by as many that cannot be read.
pub(crate) fn readable_then_not(bytes: usize) -> Result<*const u8> {
    // SAFETY: a new mapping, which nothing else refers to and which lives as long as the process.
    let start = unsafe {
        libc::mmap(ptr::null_mut(), 2 * bytes, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0)
    };
    if start == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    let second_half = start.cast::<u8>().wrapping_add(bytes).cast();
    // SAFETY: the second half of our own mapping, which nothing refers to.
    let returned = unsafe { libc::mprotect(second_half, bytes, libc::PROT_NONE) };
    Errno::result(returned).map(|_| start.cast::<u8>().cast_const())
}

/// send(2) on a descriptor number that may not be open.
pub(crate) fn send_number(number: c_int) -> Result<usize> {
    // SAFETY: the pointer and length are one slice's; the kernel returns EBADF for a number that is not open.
    count(unsafe { libc::send(number, [0_u8; 1].as_ptr().cast(), 1, 0) })
}

/// bind(2).
pub(crate) fn bind(fd: BorrowedFd<'_>, to: Destination<'_>) -> Result<()> {
    let (name, length) = socket_name(to);
    // SAFETY: the pointer and length are one name's.
    let returned = unsafe { libc::bind(fd.as_raw_fd(), (&raw const name).cast(), length as libc::socklen_t) };
    Errno::result(returned).map(drop)
}

/// Returns the bytes of a file that is mapped once for its whole length, and then, part by part, covered by
/// another file.
pub(crate) fn map_again_and_again(
    whole: &OwnedFd,
    length: usize,
    part: &OwnedFd,
    part_length: usize,
) -> Result<&'static [u8]> {
    let start = map_shared(ptr::null_mut(), length, 0, whole)?;
    for offset in (0..length).step_by(part_length) {
        let at = start.cast::<u8>().wrapping_add(offset).cast();
        map_shared(at, part_length, libc::MAP_FIXED, part)?;
    }
    // SAFETY: all of it can be read, and nobody writes to either file or unmaps it while this process lives.
    Ok(unsafe { std::slice::from_raw_parts(start.cast(), length) })
}

fn map_shared(at: *mut c_void, length: usize, flags: c_int, file: &OwnedFd) -> Result<*mut c_void> {
    // SAFETY: a new mapping, or one that covers a part of one that is ours and that nothing refers to yet.
    let start =
        unsafe { libc::mmap(at, length, libc::PROT_READ, libc::MAP_SHARED | flags, file.as_raw_fd(), 0) };
    if start == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(start) }
}

/// sendmsg(2) with control data that is given as bytes and may be invalid. The pointer can be null, and the
/// length is given separately.
pub(crate) fn send_control(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    control: *const u8,
    control_length: usize,
    flags: c_int,
) -> Result<usize> {
    let vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: zero is valid for every member: no name.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = (&raw const vector).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = control.cast_mut().cast();
    message.msg_controllen = control_length as _;
    count(sendmsg(fd, &message, flags))
}

/// The system call sendmsg(2). musl's function reads the control data itself, and takes at most 1040 bytes.
#[cfg(target_os = "linux")]
fn sendmsg(fd: BorrowedFd<'_>, message: &libc::msghdr, flags: c_int) -> isize {
    // SAFETY: the kernel reads the memory, and returns EFAULT for memory that cannot be read.
    unsafe { libc::syscall(libc::SYS_sendmsg, fd.as_raw_fd(), ptr::from_ref(message), flags) as isize }
}

#[cfg(not(target_os = "linux"))]
fn sendmsg(fd: BorrowedFd<'_>, message: &libc::msghdr, flags: c_int) -> isize {
    // SAFETY: the kernel reads the memory, and returns EFAULT for memory that cannot be read.
    unsafe { libc::sendmsg(fd.as_raw_fd(), message, flags) }
}

/// `CMSG_LEN`.
pub(crate) fn control_length(data: usize) -> usize {
    // SAFETY: it is arithmetic.
    unsafe { libc::CMSG_LEN(data as u32) as usize }
}

/// `CMSG_SPACE`.
pub(crate) fn control_space(data: usize) -> usize {
    // SAFETY: it is arithmetic.
    unsafe { libc::CMSG_SPACE(data as u32) as usize }
}

/// Returns a control message with this data, padded as C programs do.
pub(crate) fn control_message(level: c_int, kind: c_int, data: &[u8]) -> Vec<u8> {
    // SAFETY: zero is valid for every member.
    let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
    header.cmsg_len = control_length(data.len()) as _;
    header.cmsg_level = level;
    header.cmsg_type = kind;
    let mut message = vec![0; control_space(data.len())];
    // SAFETY: the vector has room for a header, at any alignment.
    unsafe { ptr::write_unaligned(message.as_mut_ptr().cast(), header) };
    message[control_length(0)..][..data.len()].copy_from_slice(data);
    message
}

/// Returns a control message of descriptors.
pub(crate) fn rights(descriptors: &[c_int]) -> Vec<u8> {
    let data: Vec<u8> = descriptors.iter().flat_map(|number| number.to_ne_bytes()).collect();
    control_message(libc::SOL_SOCKET, libc::SCM_RIGHTS, &data)
}

/// sendmsg(2) with descriptors, as a C program calls it.
pub(crate) fn send_rights(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: c_int,
) -> Result<usize> {
    let numbers: Vec<c_int> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let control = rights(&numbers);
    send_control(fd, bytes, control.as_ptr(), control.len(), flags)
}

/// The result of recvmsg(2).
pub(crate) struct Received {
    pub(crate) bytes: usize,
    pub(crate) flags: c_int,
    /// `msg_controllen`, as the kernel returned it.
    pub(crate) control: usize,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// recvmsg(2) with room for this many bytes of data and of control messages, as a C program calls it.
pub(crate) fn receive_rights(
    fd: BorrowedFd<'_>,
    data: usize,
    control: usize,
    flags: c_int,
) -> Result<Received> {
    let mut data = vec![0_u8; data];
    let mut room = vec![0_u64; control.div_ceil(8)];
    let mut vector = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    // SAFETY: zero is valid for every member: no name.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    if control > 0 {
        message.msg_control = room.as_mut_ptr().cast();
        message.msg_controllen = control as _;
    }
    // SAFETY: the message points to memory of ours, of the lengths that it says.
    let bytes = count(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) })?;
    let mut descriptors = Vec::new();
    // SAFETY: the message is as the kernel left it.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR point to a whole header.
        let found = unsafe { header.read_unaligned() };
        if (found.cmsg_level, found.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: the header is of a message that the kernel wrote.
            let numbers = unsafe { libc::CMSG_DATA(header) }.cast::<c_int>();
            let count = (found.cmsg_len as usize - control_length(0)) / size_of::<c_int>();
            for index in 0..count {
                // SAFETY: the kernel wrote as many numbers as its length says.
                let number = unsafe { numbers.wrapping_add(index).read_unaligned() };
                // SAFETY: the kernel has just installed it for us.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
        // SAFETY: the message and the header are as the kernel left them.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Ok(Received { bytes, flags: message.msg_flags, control: message.msg_controllen as usize, descriptors })
}

/// recvmsg(2) into slices with this much room each. Returns what came, and the flags that the kernel returned.
pub(crate) fn receive_data(fd: BorrowedFd<'_>, rooms: &[usize], flags: c_int) -> Result<(Vec<u8>, c_int)> {
    let mut data: Vec<Vec<u8>> = rooms.iter().map(|&room| vec![0; room]).collect();
    let mut slices: Vec<_> = data.iter_mut().map(|room| IoSliceMut::new(room)).collect();
    // SAFETY: zero is valid for every member: no name and no control data.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = slices.as_mut_ptr().cast();
    message.msg_iovlen = slices.len() as _;
    // SAFETY: the message points to memory of ours, of the lengths that it says.
    let bytes = count(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) })?;
    let mut data = data.concat();
    data.truncate(bytes);
    Ok((data, message.msg_flags))
}

/// Returns a descriptor that watches others: epoll on Linux, kqueue on OpenBSD.
pub(crate) fn watcher() -> Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    // SAFETY: it makes a descriptor.
    let number = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: it makes a descriptor.
    let number = unsafe { libc::kqueue() };
    let number = Errno::result(number)?;
    // SAFETY: it has just been made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Returns the three numbers of `SO_PEERCRED`, in the kernel's order.
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> Result<[u32; 3]> {
    #[cfg(target_os = "linux")]
    const SO_PEERCRED: c_int = libc::SO_PEERCRED;
    #[cfg(not(target_os = "linux"))]
    const SO_PEERCRED: c_int = 0x1022;
    let mut numbers = [0; 3];
    let mut length = size_of_val(&numbers) as libc::socklen_t;
    // SAFETY: the pointers are to the numbers and to their length.
    let returned = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERCRED,
            numbers.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(returned).map(|_| numbers)
}

/// The option by which TCP keeps back a segment that is not full.
#[cfg(target_os = "linux")]
pub(crate) const CORK: c_int = libc::TCP_CORK;
#[cfg(not(target_os = "linux"))]
pub(crate) const CORK: c_int = 0x10;

/// What the kernel counts of a TCP connection.
pub(crate) struct TcpCounts {
    /// The segments with data that were sent.
    pub(crate) segments: u32,
    /// The bytes that were not sent yet.
    pub(crate) waiting: u32,
    /// How many bytes a segment can have.
    pub(crate) segment_bytes: u64,
}

/// Returns the counts of a connection, if the kernel has them: Linux, since 4.6.
#[cfg(target_os = "linux")]
pub(crate) fn tcp_counts(fd: BorrowedFd<'_>) -> Option<TcpCounts> {
    // The offsets in the kernel's struct tcp_info. Those of the C libraries end at other fields.
    const SEGMENT_BYTES: usize = 16;
    const WAITING: usize = 144;
    const SEGMENTS: usize = 156;
    let mut info = [0_u32; 40];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the pointers are to the numbers and to their length.
    let returned = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (returned == 0 && length as usize == size_of_val(&info)).then(|| TcpCounts {
        segments: info[SEGMENTS / 4],
        waiting: info[WAITING / 4],
        segment_bytes: u64::from(info[SEGMENT_BYTES / 4]),
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tcp_counts(_fd: BorrowedFd<'_>) -> Option<TcpCounts> {
    None
}
