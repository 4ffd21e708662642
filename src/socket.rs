use std::fmt;
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use crate::error::Error;
use crate::platform::contract::{Operation, Refusal, SocketKind};
use crate::platform::{self, RawErrno};

/// What a [`SocketRef`] or an [`Output`](crate::Output) borrows: a reference to anything that is [`AsFd`], or a
/// [`BorrowedFd`] itself, whose lifetime is kept.
///
/// ```
/// use std::os::fd::BorrowedFd;
/// use unisend::{Error, SocketRef};
///
/// fn probed(fd: BorrowedFd<'_>) -> Result<SocketRef<'_>, Error> {
///     SocketRef::probe(fd) // it outlives this function, as the descriptor does
/// }
/// ```
pub trait BorrowFd<'fd>: sealed::Sealed {
    /// The descriptor, for as long as it is borrowed.
    fn borrow_fd(self) -> BorrowedFd<'fd>;
}

impl<'fd, T: AsFd> BorrowFd<'fd> for &'fd T {
    #[inline]
    fn borrow_fd(self) -> BorrowedFd<'fd> {
        self.as_fd()
    }
}

impl<'fd, T: AsFd> BorrowFd<'fd> for &'fd mut T {
    #[inline]
    fn borrow_fd(self) -> BorrowedFd<'fd> {
        let shared: &'fd T = self;
        shared.as_fd()
    }
}

impl<'fd> BorrowFd<'fd> for BorrowedFd<'fd> {
    #[inline]
    fn borrow_fd(self) -> BorrowedFd<'fd> {
        self
    }
}

mod sealed {
    use std::net::TcpStream;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    pub trait Sealed {}
    impl<T: AsFd> Sealed for &T {}
    impl<T: AsFd> Sealed for &mut T {}
    impl Sealed for BorrowedFd<'_> {}

    pub trait Known {}
    impl Known for TcpStream {}
    impl Known for UnixStream {}
    impl Known for UnixDatagram {}
}

/// A socket that is borrowed, with what it is.
///
/// What a socket is decides half of the contract, so it is declared once, by a constructor or a conversion
/// from a type of std that says it, or learnt once, by [`SocketRef::probe`]; never per call. A declaration makes
/// no system call. A wrong one gives wrong errors, never unsoundness.
///
/// A reference to any type that is [`AsFd`] will do: std's, tokio's, mio's, socket2's, or an `OwnedFd`. So will a
/// [`BorrowedFd`], whose lifetime the socket then has.
///
/// A `SocketRef<'_, DatagramSocket>` sends datagrams, and has [`send_to`](SocketRef::send_to) and what else needs that.
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use unisend::{SendFlags, SocketKind, SocketRef};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stream = TcpStream::connect(listener.local_addr()?)?;
///
/// let socket = SocketRef::tcp(&stream);
/// assert_eq!(socket.kind(), SocketKind::Tcp);
/// assert_eq!(socket.send(b"hello", SendFlags::empty())?, 5);
/// # Ok(())
/// # }
/// ```
pub struct SocketRef<'fd, Sort = AnySocket> {
    fd: BorrowedFd<'fd>,
    kind: SocketKind,
    send_buffer: Option<NonZeroUsize>,
    sort: PhantomData<Sort>,
}

/// In the type of a [`SocketRef`]: it can be of any kind, so it sends to its peer alone.
#[derive(Debug)]
pub enum AnySocket {}

/// In the type of a [`SocketRef`]: it sends datagrams, each to an [`Address`](crate::Address) of its own if need be.
///
/// ```
/// use std::net::UdpSocket;
/// use unisend::{Address, DatagramSocket, Error, SendFlags, SocketRef};
///
/// fn ping(socket: &SocketRef<'_, DatagramSocket>, to: &Address) -> Result<usize, Error> {
///     socket.send_to(b"ping", to, SendFlags::empty())
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let receiver = UdpSocket::bind("127.0.0.1:0")?;
/// let sender = UdpSocket::bind("127.0.0.1:0")?;
/// assert_eq!(ping(&SocketRef::udp_v4(&sender), &receiver.local_addr()?.into())?, 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum DatagramSocket {}

impl<'fd> SocketRef<'fd> {
    /// A socket of this kind.
    #[must_use]
    #[inline]
    pub fn new(fd: impl BorrowFd<'fd>, kind: SocketKind) -> Self {
        Self::declared(fd, kind)
    }

    /// A TCP socket, of IPv4 or IPv6. Multipath TCP is [`other_stream`](Self::other_stream).
    #[must_use]
    #[inline]
    pub fn tcp(fd: impl BorrowFd<'fd>) -> Self {
        Self::declared(fd, SocketKind::Tcp)
    }

    /// A UDP socket of IPv4.
    #[must_use]
    #[inline]
    pub fn udp_v4(fd: impl BorrowFd<'fd>) -> SocketRef<'fd, DatagramSocket> {
        SocketRef::declared(fd, SocketKind::UdpV4)
    }

    /// A UDP socket of IPv6.
    #[must_use]
    #[inline]
    pub fn udp_v6(fd: impl BorrowFd<'fd>) -> SocketRef<'fd, DatagramSocket> {
        SocketRef::declared(fd, SocketKind::UdpV6)
    }

    /// A unix stream socket.
    #[must_use]
    #[inline]
    pub fn unix_stream(fd: impl BorrowFd<'fd>) -> Self {
        Self::declared(fd, SocketKind::UnixStream)
    }

    /// A unix datagram socket.
    #[must_use]
    #[inline]
    pub fn unix_datagram(fd: impl BorrowFd<'fd>) -> SocketRef<'fd, DatagramSocket> {
        SocketRef::declared(fd, SocketKind::UnixDatagram)
    }

    /// A unix socket of sequenced packets.
    #[must_use]
    #[inline]
    pub fn unix_seqpacket(fd: impl BorrowFd<'fd>) -> Self {
        Self::declared(fd, SocketKind::UnixSeqpacket)
    }

    /// A stream of another family or protocol. It gets the kernel's own answers, and nothing is reconciled, but
    /// the loops and the end of file know that it is a stream.
    #[must_use]
    #[inline]
    pub fn other_stream(fd: impl BorrowFd<'fd>) -> Self {
        Self::declared(fd, SocketKind::OtherStream)
    }

    /// A socket of any other kind. It gets the kernel's own answers, and nothing is reconciled.
    #[must_use]
    #[inline]
    pub fn other(fd: impl BorrowFd<'fd>) -> Self {
        Self::declared(fd, SocketKind::Other)
    }

    /// Asks the kernel what the socket is, and how large its send buffer. Do it once and keep the answer.
    ///
    /// # System calls
    ///
    /// Four getsockopt(2). On OpenBSD pledge(2) must allow "inet" or "unix": under "stdio" alone the process
    /// is killed. Probe before the pledge, or declare.
    ///
    /// # Errors
    ///
    /// [`NotSocket`](crate::ErrorKind::NotSocket), and [`BadDescriptor`](crate::ErrorKind::BadDescriptor) for
    /// Linux's `O_PATH` descriptors.
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use unisend::{ErrorKind, SocketRef, SocketKind};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let udp = UdpSocket::bind("127.0.0.1:0")?;
    /// let socket = SocketRef::probe(&udp)?;
    /// assert_eq!(socket.kind(), SocketKind::UdpV4);
    ///
    /// let file = std::fs::File::open("/dev/null")?;
    /// assert_eq!(SocketRef::probe(&file).unwrap_err().kind(), ErrorKind::NotSocket);
    /// # Ok(())
    /// # }
    /// ```
    pub fn probe(fd: impl BorrowFd<'fd>) -> Result<Self, Error> {
        let fd = fd.borrow_fd();
        let (kind, send_buffer) =
            platform::probe(fd).map_err(|errno| Error::plain(Operation::Probe, errno))?;
        Ok(Self { send_buffer: NonZeroUsize::new(send_buffer), ..Self::declared(fd, kind) })
    }
}

impl<'fd, Sort> SocketRef<'fd, Sort> {
    #[inline]
    fn declared(fd: impl BorrowFd<'fd>, kind: SocketKind) -> Self {
        Self { fd: fd.borrow_fd(), kind, send_buffer: None, sort: PhantomData }
    }

    #[inline]
    pub(crate) fn fd(&self) -> BorrowedFd<'fd> {
        self.fd
    }

    /// What it is.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> SocketKind {
        self.kind
    }

    /// `SO_SNDBUF` in bytes as it was when the socket was probed; `None` if it was declared. Linux says twice
    /// what was set (clause B8: "differs").
    #[must_use]
    #[inline]
    pub fn send_buffer(&self) -> Option<usize> {
        self.send_buffer.map(NonZeroUsize::get)
    }

    /// The same socket as one that has `send_to`, if it is of UDP or a unix datagram socket.
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use unisend::{SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let receiver = UdpSocket::bind("127.0.0.1:0")?;
    /// let sender = UdpSocket::bind("127.0.0.1:0")?;
    /// let datagram = SocketRef::probe(&sender)?.as_datagram().expect("it is UDP");
    /// datagram.send_to(b"hello", &receiver.local_addr()?.into(), SendFlags::empty())?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[inline]
    pub fn as_datagram(&self) -> Option<SocketRef<'fd, DatagramSocket>> {
        self.kind.is_datagram().then_some(self.as_sort())
    }

    #[inline]
    fn as_sort<Other>(&self) -> SocketRef<'fd, Other> {
        SocketRef { fd: self.fd, kind: self.kind, send_buffer: self.send_buffer, sort: PhantomData }
    }
}

impl<'fd> From<SocketRef<'fd, DatagramSocket>> for SocketRef<'fd> {
    #[inline]
    fn from(datagram: SocketRef<'fd, DatagramSocket>) -> Self {
        datagram.as_sort()
    }
}

impl<Sort> Clone for SocketRef<'_, Sort> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<Sort> Copy for SocketRef<'_, Sort> {}

impl<Sort> fmt::Debug for SocketRef<'_, Sort> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketRef").field("fd", &self.fd).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<Sort> AsFd for SocketRef<'_, Sort> {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd
    }
}

/// A socket type that says what kind of socket it is, so that a reference to it becomes a [`SocketRef`] by `from`:
/// std's `TcpStream`, `UnixStream` and `UnixDatagram`.
///
/// Others have to be declared. mio's `TcpStream` is `SocketRef::tcp(&stream)`, and so is tokio's; socket2's `Socket` can be
/// of any kind.
///
/// ```compile_fail,E0277
/// # mod mio {
/// #     pub struct TcpStream(std::net::TcpStream);
/// #     impl std::os::fd::AsFd for TcpStream {
/// #         fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
/// #             self.0.as_fd()
/// #         }
/// #     }
/// # }
/// fn socket(stream: &mio::TcpStream) -> unisend::SocketRef<'_> {
///     unisend::SocketRef::from(stream) // the error says: `SocketRef::tcp(stream)`
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what kind of socket it is",
    label = "unisend does not know this type",
    note = "declare what it is: `SocketRef::tcp(&socket)`, `SocketRef::unix_stream(&socket)`, ..., `SocketRef::other(&socket)`",
    note = "or ask the kernel, once: `SocketRef::probe(&socket)?`; for std's `UdpSocket`: `SocketRef::try_from(&socket)?`"
)]
pub trait KnownSocket: AsFd + sealed::Known {
    /// [`DatagramSocket`] or [`AnySocket`].
    type Sort;
    /// What it is.
    const KIND: SocketKind;
}

impl KnownSocket for TcpStream {
    type Sort = AnySocket;
    const KIND: SocketKind = SocketKind::Tcp;
}

impl KnownSocket for UnixStream {
    type Sort = AnySocket;
    const KIND: SocketKind = SocketKind::UnixStream;
}

impl KnownSocket for UnixDatagram {
    type Sort = DatagramSocket;
    const KIND: SocketKind = SocketKind::UnixDatagram;
}

impl<'fd, Known: KnownSocket> From<&'fd Known> for SocketRef<'fd, Known::Sort> {
    #[inline]
    fn from(socket: &'fd Known) -> Self {
        Self::declared(socket, Known::KIND)
    }
}

impl<'fd> TryFrom<&'fd UdpSocket> for SocketRef<'fd, DatagramSocket> {
    type Error = Error;

    /// Asks for the socket's own address, by one getsockname(2), to know whether it is of IPv4 or IPv6. On OpenBSD
    /// pledge(2) needs "stdio".
    ///
    /// # Errors
    ///
    /// [`AddressFamily`](crate::ErrorKind::AddressFamily) if it was made from a descriptor of another family.
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use unisend::{SocketKind, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let udp = UdpSocket::bind("127.0.0.1:0")?;
    /// assert_eq!(SocketRef::try_from(&udp)?.kind(), SocketKind::UdpV4);
    /// # Ok(())
    /// # }
    /// ```
    fn try_from(socket: &'fd UdpSocket) -> Result<Self, Error> {
        match socket.local_addr() {
            Ok(SocketAddr::V4(_)) => Ok(SocketRef::udp_v4(socket)),
            Ok(SocketAddr::V6(_)) => Ok(SocketRef::udp_v6(socket)),
            Err(error) => Err(error.raw_os_error().map_or_else(
                || Error::refused(Operation::Probe, Refusal::NotInternet),
                |errno| Error::plain(Operation::Probe, RawErrno::from_number(errno)),
            )),
        }
    }
}
