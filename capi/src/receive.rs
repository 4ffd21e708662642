use std::ffi::{c_int, c_uint, c_void};
use std::os::fd::IntoRawFd;

use arrayvec::ArrayVec;
use libc::{iovec, socklen_t, ssize_t};
use unisend::{ControlBuffer, ReceiveFlags, Received, SocketKind, SocketRef, limits};

use crate::failure::count;
use crate::socket::socket;
use crate::{Caller, Failure, Refusal, US_DONTWAIT, US_EOR, US_OOB, US_PEEK, address, flags, us_socket};

/// In us_received: the datagram or record was longer than the buffers, and the
/// rest of it is lost, unless it was peeked at.
pub const US_TRUNC: c_uint = 1 << 8;
/// In us_received: descriptors came that are not in fds, and were closed.  On
/// Linux, without room for any, it can also be another control message.
pub const US_FDLOST: c_uint = 1 << 9;
/// In us_received: the end of the stream or connection.  It is not set if the
/// buffers have no room for a byte.
pub const US_EOF: c_uint = 1 << 10;

/// What us_recvmsg() fills, and what it says.  Clear it with memset(3) or = { 0 },
/// and set the first six.  The call leaves them alone, and sets the others.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct us_received {
    /// The buffers.  They must not overlap.
    pub iov: *const iovec,
    /// How many there are, at most 1024.
    pub iovcnt: c_int,
    /// Room for descriptors, or NULL.
    pub fds: *mut c_int,
    /// For how many.  With room for 253, none is lost for want of it.
    pub maxfds: usize,
    /// Room for the address of the sender, such as a struct sockaddr_storage, or
    /// NULL.
    pub name: *mut c_void,
    /// For how many bytes.
    pub namesize: socklen_t,

    /// How many descriptors came.  They are yours, and close-on-exec.
    pub nfds: usize,
    /// The size of the address, which was cut if this is more than namesize; 0 if
    /// the sender has none, and on a stream.
    pub namelen: socklen_t,
    /// US_TRUNC, US_FDLOST, US_EOF, US_EOR.
    pub flags: c_uint,
    /// The traffic class of a UDP datagram if the socket reports it, or -1.
    pub traffic_class: c_int,
    /// Its hop limit if the socket reports it, or -1.
    pub hop_limit: c_int,
}

/// Receive data, and the descriptors that come with it: recvmsg(2).
///
/// If there is no room for descriptors and none for an address, the kernel is told
/// so, and closes descriptors itself.  Then OpenBSD does not need the promise
/// "recvfd", and does not report that some came.
///
/// Returns how many bytes came, or -1 and errno.  0 is the end if US_EOF is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_recvmsg(
    socket: *const us_socket,
    received: *mut us_received,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    count(receive(caller, socket, received, flags))
}

fn receive(
    caller: Caller<'_>,
    from: *const us_socket,
    received: *mut us_received,
    flags: c_uint,
) -> Result<usize, Failure> {
    let socket = socket(caller, from)?;
    let received = caller.object_mut(received)?;
    let flags = receive_flags(flags)?;
    let mut slices = ArrayVec::<_, { limits::SLICES_PER_MESSAGE }>::new();
    caller.slices_mut(received.iov, received.iovcnt, &mut slices)?;
    let mut room = Room {
        fds: caller.array_mut(received.fds, received.maxfds)?,
        name: match received.name.is_null() {
            true => &mut [],
            false => caller.bytes_mut(received.name, received.namesize as usize)?,
        },
    };
    let mut control;
    let came = match room.is_for_data_alone(&socket) {
        true => socket.receive_without_descriptors(&mut slices, flags)?,
        false => {
            control = ControlBuffer::new();
            socket.receive(&mut slices, &mut control, flags)?
        }
    };
    Ok(room.keep(came, received))
}

fn receive_flags(flags: c_uint) -> Result<ReceiveFlags, Refusal> {
    const TABLE: [(c_uint, ReceiveFlags); 3] = [
        (US_DONTWAIT, ReceiveFlags::DONT_WAIT),
        (US_PEEK, ReceiveFlags::PEEK),
        (US_OOB, ReceiveFlags::OUT_OF_BAND),
    ];
    flags::translate(&TABLE, ReceiveFlags::empty(), flags).ok_or(Refusal::NotForReceiving)
}

/// The room that the caller gave for what comes with the data.
struct Room<'call> {
    fds: &'call mut [c_int],
    name: &'call mut [u8],
}

impl Room<'_> {
    /// Returns whether nothing but the data is wanted. To UDP the question costs nothing: no descriptors come.
    fn is_for_data_alone(&self, socket: &SocketRef<'_>) -> bool {
        let is_udp = matches!(socket.kind(), SocketKind::UdpV4 | SocketKind::UdpV6);
        self.fds.is_empty() && self.name.is_empty() && !is_udp
    }

    /// Keeps what came, closes the descriptors for which there is no room, and returns the number of bytes.
    fn keep(&mut self, mut came: Received<'_>, received: &mut us_received) -> usize {
        received.namelen = address::copy_sender(&came, self.name);

        received.nfds = 0;
        for (slot, descriptor) in self.fds.iter_mut().zip(came.descriptors()) {
            *slot = descriptor.into_raw_fd();
            received.nfds += 1;
        }
        let has_too_many = came.descriptors().len() > 0;

        received.flags = flags::that_are_so(&[
            (came.is_truncated(), US_TRUNC),
            (came.descriptors_lost() || has_too_many, US_FDLOST),
            (came.is_end_of_file(), US_EOF),
            (came.ends_record(), US_EOR),
        ]);
        received.traffic_class = came.traffic_class().map_or(-1, c_int::from);
        received.hop_limit = came.hop_limit().map_or(-1, c_int::from);
        came.bytes()
    }
}
